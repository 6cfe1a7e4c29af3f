// A Rust thread group whose closure calls a C library, given to std::thread.
// needs: leaf
extern "C" {
    fn leaf_add(a: i64, b: i64) -> i64;
}

#[no_mangle]
pub extern "C" fn rust_threads(rounds: i64) {
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(move || rust_worker(rounds))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// One call in one place: in a loop the compiler would keep the slot's value in a register, and
/// a slot whose value is loaded keeps what it points to.
#[inline(never)]
fn call(sum: i64) -> i64 {
    // SAFETY: the C function of this signature, with arguments it accepts.
    unsafe { leaf_add(sum, 1) }
}

#[inline(never)]
fn rust_worker(rounds: i64) {
    let mut sum = 0;
    for _ in 0..rounds {
        sum = call(sum);
    }
    std::hint::black_box(sum);
}
