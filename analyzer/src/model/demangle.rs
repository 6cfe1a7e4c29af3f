//! Symbol names as a reader wants them.

use cpp_demangle::{DemangleOptions, Symbol};

/// Longest mangled name that is demangled: longer ones help no reader and cost much.
const MAX_MANGLED_BYTES: usize = 4096;

/// The full name: with parameters for C++, without the hash for Rust.
pub fn signature(symbol: &str) -> String {
    rust(symbol).or_else(|| cpp(symbol, DemangleOptions::new())).unwrap_or_else(|| symbol.into())
}

/// The short name: without parameters and return type.
pub fn short_name(symbol: &str) -> String {
    let options = DemangleOptions::new().no_params().no_return_type();
    rust(symbol).or_else(|| cpp(symbol, options)).unwrap_or_else(|| symbol.into())
}

fn rust(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_R") && !symbol.starts_with("_ZN") {
        return None;
    }
    if symbol.len() > MAX_MANGLED_BYTES {
        return None;
    }
    let name = rustc_demangle::try_demangle(symbol).ok()?;
    let without_hash = format!("{name:#}");
    // A C++ name of the same scheme has no hash, so both forms agree: it is not Rust's.
    (symbol.starts_with("_R") || without_hash != name.to_string()).then_some(without_hash)
}

fn cpp(symbol: &str, options: DemangleOptions) -> Option<String> {
    if !symbol.starts_with("_Z") || symbol.len() > MAX_MANGLED_BYTES {
        return None;
    }
    Symbol::new(symbol).ok()?.demangle_with_options(&options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_three_languages() {
        assert_eq!(short_name("malloc"), "malloc");
        assert_eq!(short_name("_ZN3foo3barEi"), "foo::bar");
        assert_eq!(signature("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(short_name("_ZN3app6worker17h0123456789abcdefE"), "app::worker");
        assert_eq!(short_name("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(short_name("_Znot_mangled"), "_Znot_mangled");
    }
}
