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

#[inline(never)]
fn rust_worker(rounds: i64) {
    let mut sum = 0;
    for _ in 0..rounds {
        sum = unsafe { leaf_add(sum, 1) };
    }
    std::hint::black_box(sum);
}
