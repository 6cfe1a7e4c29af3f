// A Rust program: threads, a channel, a mutex; its calls go through GLOB_DAT slots, not a PLT.
// needs: leaf
use std::sync::{mpsc, Arc, Mutex};

extern "C" {
    fn leaf_add(a: i64, b: i64) -> i64;
}

/// One call in one place: in a loop the compiler would keep the slot's value in a register, and
/// a slot whose value is loaded keeps what it points to.
#[inline(never)]
fn call(round: i64, number: i64) -> i64 {
    // SAFETY: the C function of this signature, with arguments it accepts.
    unsafe { leaf_add(round, number) }
}

fn main() {
    let (sender, receiver) = mpsc::channel();
    let total = Arc::new(Mutex::new(0i64));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (sender, total) = (sender.clone(), total.clone());
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    for round in 0..2000 {
                        let value = call(round, number);
                        *total.lock().unwrap() += value;
                        sender.send(vec![value; 8]).unwrap();
                    }
                })
                .unwrap()
        })
        .collect();
    drop(sender);
    let received: i64 = receiver.iter().map(|values| values.iter().sum::<i64>()).sum();
    for thread in threads {
        thread.join().unwrap();
    }
    if let Some(path) = std::env::var_os("TESTAPP_TRUTH") {
        std::fs::write(path, "calls leaf_add 8000\n").unwrap();
    }
    println!("received {received} total {}", total.lock().unwrap());
}
