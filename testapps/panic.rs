// A Rust panic that passes through a C library's frame and is caught above it, in the main thread
// and in others.
// needs: runback
use std::ffi::c_void;
use std::panic::{catch_unwind, set_hook};

extern "C-unwind" {
    fn run_back(back: extern "C-unwind" fn(*mut c_void), argument: *mut c_void);
}

struct Guard;
static GONE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
impl Drop for Guard {
    fn drop(&mut self) {
        GONE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

extern "C-unwind" fn fail(argument: *mut c_void) {
    let _guard = Guard;
    if argument.is_null() {
        panic!("on purpose");
    }
    call_back(std::ptr::null_mut());
}

/// One call in one place: in a loop the compiler would keep the slot's value in a register, and
/// a slot whose value is loaded keeps what it points to.
#[inline(never)]
fn call_back(argument: *mut c_void) {
    // SAFETY: the C function of this signature, with arguments it accepts.
    unsafe { run_back(fail, argument) };
}

fn rounds(count: usize) -> usize {
    (0..count)
        .filter(|_| {
            catch_unwind(|| call_back(std::ptr::without_provenance_mut(1))).is_err()
        })
        .count()
}

fn main() {
    set_hook(Box::new(|_| {}));
    let mut caught = rounds(5000);
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(|| rounds(2000))).collect();
    for thread in threads {
        caught += thread.join().unwrap();
    }
    if let Some(path) = std::env::var_os("TESTAPP_TRUTH") {
        std::fs::write(path, format!("calls run_back {}\n", 2 * (5000 + 3 * 2000))).unwrap();
    }
    println!("caught {caught} gone {}", GONE.load(std::sync::atomic::Ordering::Relaxed));
}
