// The way of one system call; TRAMPOLINE.md ("System calls") draws it and lists each trap.
//
//   mov $nr,%eax (now a jump) -> thunk near the code -> one of the entries below -> thunk -> behind `syscall`
//
// In, at every entry: rax = number, ecx = site, r11 = address behind the `syscall` instruction; all else
// is the host's. rcx, r11 and the flags are dead there, because the kernel overwrites the first two
// and no site is taken whose code reads flags behind the instruction. The thunk has gone past the 128
// bytes below the host's stack pointer, which may be in use (red zone), and called.
//
// Called, not jumped to: behind a system call processors foretell returns, but no indirect jump (measured:
// 8 ns a call).
//
// Offsets are asserted in Rust (probe/src/syscall/seam.rs) against the .set lines here.

        .set    THREAD_GUARD, 24
        .set    THREAD_TOP, 48
        .set    THREAD_FAST, 53248
        .set    ENTRY_CELL, 48
        .set    FAST_SP, 0
        .set    FAST_TOP, 8
        .set    FAST_NOTE, 16
        .set    FAST_OTHERS, 24
        .set    FAST_SLOT, 32
        .set    FAST_RETURN, 40
        .set    FAST_CELL, 48
        .set    FAST_OBJECT, 56
        .set    FAST_ARGUMENT, 64
        .set    FAST_WORD, 72
        .set    FAST_SITE, 80
        .set    FAST_TOP_CELL, 84
        .set    FAST_SHIFT, 7                // 128 bytes each
        .set    FAST_MASK, 31
        .set    CELL_WORD, 16
        .set    CELL_BYTES, 112
        .set    OBJECT_COUNT, 24
        .set    OBJECT_BYTES, 40
        .set    TLS_QUIET, 16
        .set    TLS_SELECTOR, 24
        .set    RED_ZONE, 128
        // From the stack pointer while the call runs: object, cell, number, site, resume address, thunk.
        .set    AT_OBJECT, 0
        .set    AT_CELL, 8
        .set    AT_NUMBER, 16
        .set    AT_SITE, 24
        .set    AT_RESUME, 32
        .set    HELD, 48
        .set    FRAME_ARGS, 256
        .set    FRAME_RESULT, 304
        .set    FRAME_NUMBER, 312
        .set    FRAME_SITE, 320
        .set    FRAME_START, 328
        .set    FRAME_END, 336
        .set    FRAME_SP, 344
        .set    FRAME_CELL, 352
        .set    FRAME_BYTES, 368
        .set    NUMBERS, 1024
        .set    DESCRIPTORS, 65536

        .section .bss.perfvisor,"aw",@nobits
        .balign 8
        .hidden perfvisor_syscall_own, perfvisor_syscall_unplaced, perfvisor_descriptors
        .globl  perfvisor_syscall_own, perfvisor_syscall_unplaced, perfvisor_descriptors
perfvisor_syscall_own:                       // table of the hook's own calls, or null
        .skip   8
perfvisor_syscall_unplaced:                  // table of calls no thread holds, or null
        .skip   8
perfvisor_descriptors:                       // what each leads to: probe/src/descriptors.rs
        .skip   4*DESCRIPTORS+4              // the last stands for what is none and stays 0

        .section .text.perfvisor_syscall,"ax",@progbits
        .balign 64

// The frame of the host's function goes on behind the `syscall` instruction: our frame is described as
// one that it called, with the return address in r11, then on the stack. So a cancellation, an
// exception and a debugger pass through.
        .macro  BEGIN
        .cfi_startproc
        .cfi_def_cfa %rsp, 8+RED_ZONE
        .cfi_register %rip, %r11
        push    %r11
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rip, 0
        push    %rcx
        .cfi_adjust_cfa_offset 8
        push    %rax
        .cfi_adjust_cfa_offset 8
        lea     -16(%rsp), %rsp              // cell, object
        .cfi_adjust_cfa_offset 16
        .endm

        // To the thunk, and from there behind the instruction.
        .macro  GO_BACK
        mov     AT_RESUME(%rsp), %r11
        .cfi_register %rip, %r11
        lea     HELD-8(%rsp), %rsp
        .cfi_def_cfa_offset 8+RED_ZONE
        ret
        .endm

        // Is the call one that this thread made last time at this site, from the same call path, on the
        // same object? Then rcx = its Fast. Uses rax, r11.
        .macro  LOOK_UP argument
        mov     perfvisor_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_QUIET(%rax)
        jne     perfvisor_syscall_quiet
        mov     %esp, %r11d
        shr     $4, %r11d
        add     %r11d, %ecx
        mov     %fs:8(%rax), %r11
        mov     %fs:(%rax), %rax
        test    %r11, %r11
        jz      perfvisor_syscall_slow
        cmpq    $0, THREAD_GUARD(%r11)
        jne     perfvisor_syscall_slow
        and     $FAST_MASK, %ecx
        shl     $FAST_SHIFT, %ecx
        lea     THREAD_FAST(%r11,%rcx), %rcx
        cmp     %rsp, FAST_SP(%rcx)
        jne     perfvisor_syscall_slow
        mov     THREAD_TOP(%r11), %r11
        cmp     %r11, FAST_TOP(%rcx)
        jne     perfvisor_syscall_slow
        test    %r11, %r11
        jz      1f
        mov     ENTRY_CELL(%r11), %r11d
        cmp     %r11d, FAST_TOP_CELL(%rcx)
        jne     perfvisor_syscall_slow
1:      mov     AT_SITE(%rsp), %r11d
        cmp     %r11d, FAST_SITE(%rcx)
        jne     perfvisor_syscall_slow
        mov     -120(%rax), %r11             // notes of untimed calls: shadow.rs
        cmp     %r11, FAST_NOTE(%rcx)
        jne     perfvisor_syscall_slow
        mov     -104(%rax), %r11
        add     -88(%rax), %r11
        add     -72(%rax), %r11
        add     -56(%rax), %r11
        cmp     %r11, FAST_OTHERS(%rcx)
        jne     perfvisor_syscall_slow
        mov     FAST_SLOT(%rcx), %r11
        mov     (%r11), %r11
        cmp     %r11, FAST_RETURN(%rcx)
        jne     perfvisor_syscall_slow
        .ifc    \argument, address
        cmp     %rdi, FAST_ARGUMENT(%rcx)
        jne     perfvisor_syscall_slow
        .endif
        .ifc    \argument, descriptor
        mov     %edi, %r11d
        mov     $DESCRIPTORS, %eax
        cmp     %eax, %r11d
        cmova   %eax, %r11d
        lea     perfvisor_descriptors(%rip), %rax
        mov     (%rax,%r11,4), %r11d
        cmp     %r11d, FAST_WORD(%rcx)
        jne     perfvisor_syscall_slow
        .endif
        mov     FAST_CELL(%rcx), %r11
        mov     %r11, AT_CELL(%rsp)
        .ifnc   \argument, none
        mov     FAST_OBJECT(%rcx), %rax
        mov     %rax, AT_OBJECT(%rsp)
        .endif
        decl    CELL_WORD(%r11)
        js      perfvisor_syscall_turn
        mov     AT_NUMBER(%rsp), %eax
        .endm

        .hidden perfvisor_syscall_plain, perfvisor_syscall_address
        .globl  perfvisor_syscall_plain, perfvisor_syscall_address
        .hidden perfvisor_syscall_object, perfvisor_syscall_bytes
        .globl  perfvisor_syscall_object, perfvisor_syscall_bytes

        // A call whose first argument names nothing.
        .type   perfvisor_syscall_plain,@function
perfvisor_syscall_plain:
        BEGIN
        LOOK_UP none
        syscall
        cmp     $-4096, %rax
        ja      .Lplain_error
        GO_BACK
        .cfi_endproc

        // A call on the futex in its first argument.
        .balign 16
        .type   perfvisor_syscall_address,@function
perfvisor_syscall_address:
        BEGIN
        LOOK_UP address
        syscall
        mov     AT_OBJECT(%rsp), %rcx
        incq    OBJECT_COUNT(%rcx)
        cmp     $-4096, %rax
        ja      .Lerror
        GO_BACK
        .cfi_endproc

        // A call on the descriptor in its first argument.
        .balign 16
        .type   perfvisor_syscall_object,@function
perfvisor_syscall_object:
        BEGIN
        LOOK_UP descriptor
        syscall
        mov     AT_OBJECT(%rsp), %rcx
        incq    OBJECT_COUNT(%rcx)
        cmp     $-4096, %rax
        ja      .Lerror
        GO_BACK
        .cfi_endproc

        // The same, and what it returns is a number of bytes.
        .balign 16
        .type   perfvisor_syscall_bytes,@function
perfvisor_syscall_bytes:
        BEGIN
        LOOK_UP descriptor
        syscall
        mov     AT_OBJECT(%rsp), %rcx
        incq    OBJECT_COUNT(%rcx)
        cmp     $-4096, %rax
        ja      .Lerror
        add     %rax, OBJECT_BYTES(%rcx)
        mov     AT_CELL(%rsp), %rcx
        add     %rax, CELL_BYTES(%rcx)
        GO_BACK
        .cfi_endproc

        // An untimed call failed: the errno is counted by the probe.
        .cfi_startproc
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_rel_offset %rip, AT_RESUME
.Lplain_error:
        movq    $0, AT_OBJECT(%rsp)
.Lerror:
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $FRAME_BYTES, %rsp
        and     $-16, %rsp
        call    perfvisor_syscall_save
        mov     %rsp, %rdi
        call    perfvisor_syscall_probe_error
        call    perfvisor_syscall_restore
        leave
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_restore %rbp
        GO_BACK
        .cfi_endproc

// The hook's own call, or one around a fork: counted by number.
        .balign 16
        .type   perfvisor_syscall_quiet,@function
perfvisor_syscall_quiet:
        .cfi_startproc
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_rel_offset %rip, AT_RESUME
        cmpl    $0, %fs:TLS_QUIET(%rax)
        mov     perfvisor_syscall_own(%rip), %rcx
        cmove   perfvisor_syscall_unplaced(%rip), %rcx
        mov     AT_NUMBER(%rsp), %rax
        test    %rcx, %rcx
        jz      1f
        mov     %eax, %r11d
        and     $NUMBERS-1, %r11d
        lock incq (%rcx,%r11,8)
1:      cmp     $NUMBERS, %rax
        jae     2f
        mov     perfvisor_syscall_leaves@GOTPCREL(%rip), %rcx
        cmpb    $0, (%rcx,%rax)
        jne     .Lin_place
2:      syscall
        mov     $1, %ecx
        GO_BACK
        .cfi_endproc
        .size   perfvisor_syscall_quiet, .-perfvisor_syscall_quiet

// The number stands in a register: it may be one that does not come back. The thunk looks at rcx: 0 = go
// to the `syscall` instruction, else behind it.
        .balign 16
        .hidden perfvisor_syscall_dynamic
        .globl  perfvisor_syscall_dynamic
        .type   perfvisor_syscall_dynamic,@function
perfvisor_syscall_dynamic:
        BEGIN
        mov     perfvisor_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_QUIET(%rax)
        jne     perfvisor_syscall_quiet
        mov     AT_NUMBER(%rsp), %rax
        cmp     $NUMBERS, %rax
        jae     perfvisor_syscall_slow
        mov     perfvisor_syscall_leaves@GOTPCREL(%rip), %rcx
        cmpb    $0, (%rcx,%rax)
        jne     perfvisor_syscall_once
        jmp     perfvisor_syscall_slow
        .cfi_endproc

// Comes back twice, elsewhere or never: counted now, made where it stands.
        .balign 16
        .hidden perfvisor_syscall_begin
        .globl  perfvisor_syscall_begin
        .type   perfvisor_syscall_begin,@function
perfvisor_syscall_begin:
        BEGIN
        mov     perfvisor_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_QUIET(%rax)
        jne     perfvisor_syscall_quiet
perfvisor_syscall_once:
        movq    $0, AT_CELL(%rsp)
        mov     AT_NUMBER(%rsp), %rax
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $FRAME_BYTES, %rsp
        and     $-16, %rsp
        call    perfvisor_syscall_save
        mov     %rsp, %rdi
        call    perfvisor_syscall_probe_begin
        call    perfvisor_syscall_restore
        leave
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_restore %rbp
        mov     AT_NUMBER(%rsp), %rax
.Lin_place:
        xor     %ecx, %ecx                   // the thunk goes to the instruction itself
        GO_BACK
        .cfi_endproc
        .size   perfvisor_syscall_begin, .-perfvisor_syscall_begin

// A timed call: the turn of a known one (counted), or one that is not known (not counted yet).
        .balign 16
        .type   perfvisor_syscall_slow,@function
perfvisor_syscall_slow:
        .cfi_startproc
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_rel_offset %rip, AT_RESUME
        movq    $0, AT_CELL(%rsp)            // not counted yet
perfvisor_syscall_turn:
        mov     %rdx, %rcx
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        mov     %rax, AT_OBJECT(%rsp)        // start
        mov     %rcx, %rdx
        mov     AT_NUMBER(%rsp), %rax
        syscall
        mov     %rax, %rcx
        mov     %rdx, %r11
        rdtsc
        shl     $32, %rdx
        or      %rax, %rdx
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $FRAME_BYTES, %rsp
        and     $-16, %rsp
        mov     %rdx, FRAME_END(%rsp)
        mov     %rcx, %rax
        mov     %r11, %rdx
        call    perfvisor_syscall_save
        mov     %rsp, %rdi
        call    perfvisor_syscall_probe_done
        call    perfvisor_syscall_restore
        leave
        .cfi_def_cfa %rsp, HELD+RED_ZONE
        .cfi_restore %rbp
        mov     $1, %ecx
        GO_BACK
        .cfi_endproc

// Fills the SyscallFrame at rsp + 8 from the host's registers, rax and the words at rbp; and back. The
// kernel keeps all registers but rax, rcx and r11, so all that Rust may overwrite is kept: the whole
// of xmm0–15 too, in legacy encoding, which leaves their upper halves alone.
        .type   perfvisor_syscall_save,@function
perfvisor_syscall_save:
        .cfi_startproc
        mov     %rdi, 8+FRAME_ARGS(%rsp)
        mov     %rsi, 8+FRAME_ARGS+8(%rsp)
        mov     %rdx, 8+FRAME_ARGS+16(%rsp)
        mov     %r10, 8+FRAME_ARGS+24(%rsp)
        mov     %r8, 8+FRAME_ARGS+32(%rsp)
        mov     %r9, 8+FRAME_ARGS+40(%rsp)
        mov     %rax, 8+FRAME_RESULT(%rsp)
        mov     8+AT_OBJECT(%rbp), %rcx
        mov     %rcx, 8+FRAME_START(%rsp)
        mov     8+AT_CELL(%rbp), %rcx
        mov     %rcx, 8+FRAME_CELL(%rsp)
        mov     8+AT_NUMBER(%rbp), %rcx
        mov     %rcx, 8+FRAME_NUMBER(%rsp)
        mov     8+AT_SITE(%rbp), %rcx
        mov     %rcx, 8+FRAME_SITE(%rsp)
        lea     8+HELD+RED_ZONE(%rbp), %rcx
        mov     %rcx, 8+FRAME_SP(%rsp)
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  %xmm\n, 8+16*\n(%rsp)
        .endr
        ret
        .cfi_endproc

        .type   perfvisor_syscall_restore,@function
perfvisor_syscall_restore:
        .cfi_startproc
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movups  8+16*\n(%rsp), %xmm\n
        .endr
        mov     8+FRAME_ARGS(%rsp), %rdi
        mov     8+FRAME_ARGS+8(%rsp), %rsi
        mov     8+FRAME_ARGS+16(%rsp), %rdx
        mov     8+FRAME_ARGS+24(%rsp), %r10
        mov     8+FRAME_ARGS+32(%rsp), %r8
        mov     8+FRAME_ARGS+40(%rsp), %r9
        mov     8+FRAME_RESULT(%rsp), %rax
        ret
        .cfi_endproc

// A call that no thunk led here: the audit's SIGSYS handler sends the thread here instead (hook/src/audit.rs),
// with the registers as at an entry. Where it must be made in its place, it is let through once.
        .balign 16
        .hidden perfvisor_audited
        .globl  perfvisor_audited
        .type   perfvisor_audited,@function
perfvisor_audited:
        .cfi_startproc
        .cfi_def_cfa %rsp, 0
        .cfi_register %rip, %r11
        lea     -RED_ZONE(%rsp), %rsp
        .cfi_def_cfa_offset RED_ZONE
        call    perfvisor_syscall_dynamic
        mov     -16(%rsp), %r11              // what BEGIN pushed: within the red zone here
        lea     RED_ZONE(%rsp), %rsp
        .cfi_def_cfa_offset 0
        jrcxz   1f
        notrack jmp *%r11
1:      mov     perfvisor_tls@gottpoff(%rip), %rcx
        movb    $0, %fs:TLS_SELECTOR(%rcx)
        lea     -2(%r11), %r11
        notrack jmp *%r11
        .cfi_endproc
        .size   perfvisor_audited, .-perfvisor_audited

// Where the audit's handler returns to: this library's own code may make system calls.
        .balign 16
        .hidden perfvisor_audit_restorer
        .globl  perfvisor_audit_restorer
        .type   perfvisor_audit_restorer,@function
perfvisor_audit_restorer:
        mov     $15, %eax
        syscall
        .size   perfvisor_audit_restorer, .-perfvisor_audit_restorer

        .section .note.GNU-stack,"",@progbits
