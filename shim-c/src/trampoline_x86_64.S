// The way of one hooked call; TRAMPOLINE.md beside this folder draws it and lists each trap.
//
//   GOT slot -> stub i -> (countdown >= 0) jmp *target[i]            nothing else touched
//                      \-> perfvisor_slow -> probe entry -> call *target -> probe exit -> ret
//
// Offsets into Frame and Entry are asserted in Rust (probe/src/seam.rs) against the .set lines here.

        .set    MAX_SITES, 16384
        .set    MUTEX_FIRST, 15360           // blocked if word != 0
        .set    READ_FIRST, 15616            // blocked if word & 2 (a writer holds the rwlock)
        .set    WRITE_FIRST, 15744           // blocked if word & ~1 (anyone holds the rwlock)
        .set    ZERO_FIRST, 15872            // blocked if word == 0 (semaphore)
        .set    ENTRY_RETURN, 0
        .set    ENTRY_RBX, 8
        .set    FRAME_TARGET, 192
        .set    FRAME_BYTES, 208
        .set    XSAVE_BYTES, 2816            // x87, SSE, AVX, AVX-512 in standard form (2688), aligned
        .set    XSAVE_MASK, 0xe7

// ---------------------------------------------------------------- thread-local storage: 32 bytes
        .section .tdata,"awT",@progbits
        .balign 16
        .hidden perfvisor_tls
        .globl  perfvisor_tls
        .type   perfvisor_tls,@object
        .size   perfvisor_tls,32
perfvisor_tls:
        .quad   perfvisor_idle_table         // counter table of this thread; until it has one, the idle one
        .quad   0                            // its Thread
        .quad   0                            // quiet: see Local
        .quad   0                            // selector

        .section .bss.perfvisor,"aw",@nobits
        .balign 4096
        .hidden perfvisor_idle_table, perfvisor_targets, perfvisor_has_xsave
        .globl  perfvisor_idle_table, perfvisor_targets, perfvisor_has_xsave
        .skip   4096                         // notes of threads without a table: nobody reads them
perfvisor_idle_table:                        // all zero: the first decrement turns negative -> slow path
        .skip   8*MAX_SITES
perfvisor_targets:
        .skip   8*MAX_SITES
perfvisor_has_xsave:
        .skip   8

// ---------------------------------------------------------------- stubs, 64 bytes each
// r11 is the only register a PLT may clobber; the flags are dead at a call.
        .macro  COUNT
        .balign 64, 0xcc
        endbr64
        mov     perfvisor_tls@gottpoff(%rip), %r11
        mov     %fs:(%r11), %r11
        decl    8*i(%r11)
        js      1f
        .endm
        // Where the call's return address stands and what it is: probe/src/notes.rs.
        .macro  NOTE
        .if     i & 1
        .set    n, -128+16*(1+((i>>1)&3))
        .else
        .set    n, -128
        .endif
        pushq   (%rsp)
        .cfi_adjust_cfa_offset 8
        popq    n(%r11)
        .cfi_adjust_cfa_offset -8
        movl    %esp, n+8(%r11)
        movl    $i, n+12(%r11)
        .endm
        .macro  TAIL
        jmp     *perfvisor_targets+8*i(%rip)
1:      lea     8*i(%r11), %r11
        jmp     perfvisor_slow
        .endm
        .macro  TAIL_FORCED
        TAIL
2:      lea     8*i(%r11), %r11
        jmp     perfvisor_forced
        .endm

        .section .text.perfvisor_stubs,"ax",@progbits
        .balign 4096
        .hidden perfvisor_stubs
        .globl  perfvisor_stubs
perfvisor_stubs:
        .cfi_startproc
        .set    i, 0
        .rept   MUTEX_FIRST
        COUNT
        NOTE
        TAIL
        .set    i, i+1
        .endr
        .rept   READ_FIRST-MUTEX_FIRST
        COUNT
        cmpl    $0, (%rdi)
        jne     2f
        TAIL_FORCED
        .set    i, i+1
        .endr
        .rept   WRITE_FIRST-READ_FIRST
        COUNT
        testl   $2, (%rdi)
        jnz     2f
        TAIL_FORCED
        .set    i, i+1
        .endr
        .rept   ZERO_FIRST-WRITE_FIRST
        COUNT
        testl   $~1, (%rdi)
        jnz     2f
        TAIL_FORCED
        .set    i, i+1
        .endr
        .rept   MAX_SITES-ZERO_FIRST
        COUNT
        cmpl    $0, (%rdi)
        je      2f
        TAIL_FORCED
        .set    i, i+1
        .endr
        .cfi_endproc

// ---------------------------------------------------------------- the timed path
// In: r11 = address of the site's word in the table that was decremented; [rsp] = return address.
        .section .text.perfvisor_timed,"ax",@progbits
        .balign 64
        .hidden perfvisor_slow, perfvisor_forced, perfvisor_return
        .globl  perfvisor_slow, perfvisor_forced, perfvisor_return
        .type   perfvisor_slow,@function
        .type   perfvisor_forced,@function
perfvisor_forced:                            // an API that would block now: timed, not rearmed
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $FRAME_BYTES, %rsp
        and     $-16, %rsp
        movl    $1, 204(%rsp)
        jmp     .Lsave
        .cfi_endproc

perfvisor_slow:
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $FRAME_BYTES, %rsp
        and     $-16, %rsp
        movl    $0, 204(%rsp)
.Lsave:
        movaps  %xmm0, 0(%rsp)
        movaps  %xmm1, 16(%rsp)
        movaps  %xmm2, 32(%rsp)
        movaps  %xmm3, 48(%rsp)
        movaps  %xmm4, 64(%rsp)
        movaps  %xmm5, 80(%rsp)
        movaps  %xmm6, 96(%rsp)
        movaps  %xmm7, 112(%rsp)
        mov     %rdi, 128(%rsp)
        mov     %rsi, 136(%rsp)
        mov     %rdx, 144(%rsp)
        mov     %rcx, 152(%rsp)
        mov     %r8, 160(%rsp)
        mov     %r9, 168(%rsp)
        mov     %rax, 176(%rsp)
        mov     %r10, 184(%rsp)
        mov     %rsp, %rdi
        lea     8(%rbp), %rsi                // where the return address stands
        mov     %r11, %rdx
        movl    204(%rsp), %ecx
        call    perfvisor_probe_entry        // rax = shadow entry, or 0: tail jump
        test    %rax, %rax
        jz      .Ltail
        mov     %rbx, ENTRY_RBX(%rax)
        mov     %rax, %rbx
        // rbx: saved at *(rbx + ENTRY_RBX):   DW_CFA_expression rbx, { DW_OP_breg3 8 }
        .cfi_escape 0x10, 0x03, 0x02, 0x73, ENTRY_RBX
        mov     FRAME_TARGET(%rsp), %r11
        movaps  0(%rsp), %xmm0
        movaps  16(%rsp), %xmm1
        movaps  32(%rsp), %xmm2
        movaps  48(%rsp), %xmm3
        movaps  64(%rsp), %xmm4
        movaps  80(%rsp), %xmm5
        movaps  96(%rsp), %xmm6
        movaps  112(%rsp), %xmm7
        mov     128(%rsp), %rdi
        mov     136(%rsp), %rsi
        mov     144(%rsp), %rdx
        mov     152(%rsp), %rcx
        mov     160(%rsp), %r8
        mov     168(%rsp), %r9
        mov     176(%rsp), %rax
        mov     184(%rsp), %r10
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        add     $8, %rsp                     // the return address lives in the shadow entry now
        .cfi_remember_state
        // The caller's stack pointer after its call returned is rsp itself, and so is the CFA of the
        // target's frame. Unwinders name a frame by its CFA, so ours must differ: rsp + 1, which is no
        // aligned CFA anyone else can have, and the caller's rsp is given by a rule of its own.
        .cfi_def_cfa %rsp, 1
        // return address at *(rbx + 0):  DW_CFA_expression 16, { DW_OP_breg3 0 }
        .cfi_escape 0x10, 0x10, 0x02, 0x73, ENTRY_RETURN
        // caller's rsp = rsp:            DW_CFA_val_expression 7, { DW_OP_breg7 0 }
        .cfi_escape 0x16, 0x07, 0x02, 0x77, 0x00
        call    *%r11
perfvisor_return:
        push    ENTRY_RETURN(%rbx)
        .cfi_restore_state
        .cfi_def_cfa %rsp, 8
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $64, %rsp
        and     $-16, %rsp
        movaps  %xmm0, 0(%rsp)
        movaps  %xmm1, 16(%rsp)
        mov     %rax, 32(%rsp)
        mov     %rdx, 40(%rsp)
        mov     %rax, %rsi
        mov     %rbx, %rdi
        mov     ENTRY_RBX(%rbx), %rbx        // before the entry can be used again
        .cfi_same_value %rbx
        call    perfvisor_probe_exit
        movaps  0(%rsp), %xmm0
        movaps  16(%rsp), %xmm1
        mov     32(%rsp), %rax
        mov     40(%rsp), %rdx
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        ret
.Ltail:
        .cfi_def_cfa %rbp, 16
        .cfi_offset %rbp, -16
        .cfi_same_value %rbx
        mov     FRAME_TARGET(%rsp), %r11
        movaps  0(%rsp), %xmm0
        movaps  16(%rsp), %xmm1
        movaps  32(%rsp), %xmm2
        movaps  48(%rsp), %xmm3
        movaps  64(%rsp), %xmm4
        movaps  80(%rsp), %xmm5
        movaps  96(%rsp), %xmm6
        movaps  112(%rsp), %xmm7
        mov     128(%rsp), %rdi
        mov     136(%rsp), %rsi
        mov     144(%rsp), %rdx
        mov     152(%rsp), %rcx
        mov     160(%rsp), %r8
        mov     168(%rsp), %r9
        mov     176(%rsp), %rax
        mov     184(%rsp), %r10
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        jmp     *%r11
        .cfi_endproc
        .size   perfvisor_slow, .-perfvisor_slow

// ---------------------------------------------------------------- cold calls keep every register
// uint64_t perfvisor_cold(fn, a, b, c): calls fn(a, b, c), which may use libc (and so AVX), while the
// hooked call's vector arguments or results are still live in ymm/zmm/k/st.
        .hidden perfvisor_cold
        .globl  perfvisor_cold
        .type   perfvisor_cold,@function
        .balign 16
perfvisor_cold:
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push    %rbx
        .cfi_offset %rbx, -24
        push    %r12
        .cfi_offset %r12, -32
        sub     $XSAVE_BYTES, %rsp
        and     $-64, %rsp
        mov     %rdi, %rbx
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %r12
        cmpl    $0, perfvisor_has_xsave(%rip)
        je      3f
        xor     %eax, %eax
        mov     %rax, 512(%rsp)
        mov     %rax, 520(%rsp)
        mov     %rax, 528(%rsp)
        mov     %rax, 536(%rsp)
        mov     %rax, 544(%rsp)
        mov     %rax, 552(%rsp)
        mov     %rax, 560(%rsp)
        mov     %rax, 568(%rsp)
        mov     $XSAVE_MASK, %eax
        xor     %edx, %edx
        xsave   (%rsp)
        mov     %r12, %rdx
        call    *%rbx
        mov     %rax, %r12
        mov     $XSAVE_MASK, %eax
        xor     %edx, %edx
        xrstor  (%rsp)
        jmp     4f
3:      fxsave  (%rsp)
        mov     %r12, %rdx
        call    *%rbx
        mov     %rax, %r12
        fxrstor (%rsp)
4:      mov     %r12, %rax
        lea     -16(%rbp), %rsp
        pop     %r12
        pop     %rbx
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   perfvisor_cold, .-perfvisor_cold

        .section .note.GNU-stack,"",@progbits
