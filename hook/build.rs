//! Compiles what Rust cannot say (`../shim-c`) into the hook library.

fn main() {
    println!("cargo:rerun-if-changed=../shim-c");
    // The standard library would name them for us. Since glibc 2.34 the first two are part of libc.
    for library in ["dl", "pthread", "c"] {
        println!("cargo:rustc-link-lib={library}");
    }
    // The trampoline calls the probe by name: bound at link time, nobody can come between.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    cc::Build::new()
        .file("../shim-c/src/trampoline_x86_64.S")
        .file("../shim-c/src/syscall_x86_64.S")
        .file("../shim-c/src/standins.c")
        // Stand-ins tell the caller by its return address, so their tail calls must be jumps,
        // whatever the profile; and foreign unwinders pass through them.
        .opt_level(2)
        .flag("-foptimize-sibling-calls")
        .flag("-fasynchronous-unwind-tables")
        .flag("-fexceptions")
        .flag("-fvisibility=hidden")
        .flag("-fno-stack-protector")
        .flag("-Wall")
        .flag("-Wextra")
        .flag("-Werror")
        .compile("perfvisor_shim");
}
