// Rust threads behind one std::sync::Mutex, which waits in syscall(SYS_futex), not in pthread_mutex_lock;
// the thread that holds it sleeps.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

static LOCK: Mutex<u64> = Mutex::new(0);
static HELD: AtomicBool = AtomicBool::new(false);

fn holder() {
    let mut value = LOCK.lock().unwrap();
    HELD.store(true, Ordering::Release);
    *value += 1;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Milliseconds this thread stood before the lock.
fn client() -> u128 {
    let mut waited = Duration::ZERO;
    for _ in 0..20 {
        let begin = Instant::now();
        let mut value = LOCK.lock().unwrap();
        waited += begin.elapsed();
        *value += 1;
    }
    waited.as_millis()
}

fn main() {
    let first = std::thread::Builder::new().name("holder".into()).spawn(holder).unwrap();
    while !HELD.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let clients: Vec<_> = (0..3)
        .map(|_| std::thread::Builder::new().name("client".into()).spawn(client).unwrap())
        .collect();
    let waited: u128 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    first.join().unwrap();
    if let Some(file) = std::env::var_os("TESTAPP_TRUTH") {
        let line = format!("waited_ms clients {waited}\n");
        std::fs::write(file, line).unwrap();
    }
    println!("{}", LOCK.lock().unwrap());
}
