//! Before and after, on objects made by the C compiler, and the loader as the oracle.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use goblin::elf64::program_header::{PF_R, PF_W, PF_X};
use perfvisor_format::{SiteHow, SkipReason};

use super::elf::{self, Component, FLAG_LOADER, FLAG_VDSO, PAGE};
use super::filter::Filter;
use super::page::{self, Store};
use super::redirect::{self, Redirect};
use super::scope::{closure, resolve};
use super::slots::{self, Found, Outcome, Rules, Slot};
use super::symbols::{Tables, Wanted};

const SOURCE: &str = r#"
extern int getppid(void);
extern int getpid(void);
extern long labs(long);
extern int no_such_function(void) __attribute__((weak));
int (*pointer(void))(void) { return getpid; }
int own(void) { return 7; }
int call_own(void) { return own(); }
int call_called(void) { return getppid(); }
int call_loaded(void) { return getpid(); }
int call_missing(void) { return no_such_function ? no_such_function() : -1; }
"#;

/// A shared object compiled with `flags` and opened; its name is unique to the test.
fn open(name: &str, flags: &[&str]) -> (PathBuf, *mut libc::c_void) {
    let directory = std::env::temp_dir().join(format!("perfvisor-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let source = directory.join("object.c");
    let object = directory.join(format!("lib{name}.so"));
    std::fs::write(&source, SOURCE).expect("the source");
    let status = std::process::Command::new("cc")
        .args(["-O1", "-fPIC", "-shared", "-o"])
        .args([&object, &source])
        .args(flags)
        .status()
        .expect("a C compiler");
    assert!(status.success());
    let path = CString::new(object.to_str().expect("a path")).expect("a path");
    // SAFETY: a valid path; the object has no constructors.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY) };
    assert!(!handle.is_null());
    std::fs::remove_dir_all(directory).expect("removed");
    (object, handle)
}

fn loaded() -> Vec<Component> {
    let mut all = Vec::new();
    elf::list(&mut |listed, _| all.extend(listed.describe()));
    for (id, component) in all.iter_mut().enumerate() {
        component.id = id as u32;
    }
    all
}

fn call(handle: *mut libc::c_void, name: &CStr) -> i32 {
    // SAFETY: the functions of SOURCE called here take nothing and return int.
    unsafe {
        let function = libc::dlsym(handle, name.as_ptr());
        let function: extern "C" fn() -> i32 = core::mem::transmute(function);
        function()
    }
}

enum Decision {
    Hook(SiteHow, usize, usize),
    Calls(usize, Vec<usize>),
    Skip(SkipReason),
    Unresolved,
}

/// What is decided on each slot of the component at `path`.
fn decisions(path: &Path, self_calls: bool) -> (Component, BTreeMap<String, (Slot, Decision)>) {
    let mut all = loaded();
    let index = all
        .iter()
        .position(|component| path.as_os_str().as_encoded_bytes() == component.path)
        .expect("it is loaded");
    let mut decided = BTreeMap::new();
    {
        let components: Vec<&Component> = all.iter().collect();
        let scope: Vec<&Component> =
            closure(&components, &[0, index]).into_iter().map(|at| components[at]).collect();
        let at = |address: usize| {
            components.iter().copied().find(|c| c.low <= address && address < c.high)
        };
        let own = components[index];
        let rules = Rules {
            own,
            scope: &scope,
            other_scope: &[],
            at: &at,
            filter: &Filter::NONE,
            self_calls,
            rewrite_calls: true,
        };
        slots::decide(&rules, &slots::collect(own), &mut |slot, name, outcome| {
            let name = String::from_utf8_lossy(name).into_owned();
            let decision = match outcome {
                Outcome::Hook(Found { how, value, target, .. }) => {
                    Decision::Hook(how, value, target)
                }
                Outcome::HookCalls(found, calls) => Decision::Calls(found.value, calls),
                Outcome::Skip(reason, _) => Decision::Skip(reason),
                Outcome::Unresolved => Decision::Unresolved,
            };
            decided.insert(name, (*slot, decision));
        });
    }
    (all.swap_remove(index), decided)
}

/// A component of two pages of code, `code` at `offset` and one-byte `nop`s around it, and one page
/// of data. It stays mapped.
pub fn code_component(offset: usize, code: &[u8]) -> Component {
    let code_bytes = 2 * PAGE;
    // SAFETY: a fresh mapping, filled within its bounds before anybody else knows of it.
    let low = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let low = libc::mmap(core::ptr::null_mut(), 3 * PAGE, access, flags, -1, 0);
        assert_ne!(low, libc::MAP_FAILED);
        let text = core::slice::from_raw_parts_mut(low.cast::<u8>(), code_bytes);
        text.fill(0x90);
        text[offset..offset + code.len()].copy_from_slice(code);
        libc::mprotect(low, code_bytes, libc::PROT_READ | libc::PROT_EXEC);
        low as usize
    };
    let segment = |from, to, flags| elf::Segment { low: low + from, high: low + to, flags };
    Component {
        id: 1,
        flags: 0,
        path: Vec::new(),
        build_id: Vec::new(),
        base: low,
        low,
        high: low + 3 * PAGE,
        segments: vec![
            segment(0, code_bytes, PF_R | PF_X),
            segment(code_bytes, 3 * PAGE, PF_R | PF_W),
        ],
        relro: None,
        dynamic: 0,
        unwind: 0,
        tables: Tables::default(),
        soname: Vec::new(),
        needed: Vec::new(),
    }
}

extern "C" fn replacement() -> i32 {
    4242
}

fn exchange(component: &Component, slot: &Slot, value: usize) {
    let store = Store { slot: slot.address, value };
    page::write(component, &[store], &mut |_| panic!("the page was refused"));
}

#[test]
fn a_lazy_slot_is_bound_as_the_loader_would_then_leads_elsewhere_and_back() {
    let (path, handle) = open("lazy", &["-Wl,-z,lazy"]);
    let (component, decided) = decisions(&path, false);
    let Some((slot, Decision::Hook(SiteHow::LazySlot, value, target))) = decided.get("getppid")
    else {
        panic!("getppid is not a lazy slot")
    };
    // SAFETY: a valid name in the global scope.
    let oracle = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getppid".as_ptr()) } as usize;
    assert_eq!(*target, oracle);
    assert!(component.is_code(*value), "a lazy slot leads into its own component");
    exchange(&component, slot, replacement as *const () as usize);
    assert_eq!(call(handle, c"call_called"), 4242);
    exchange(&component, slot, *value);
    // SAFETY: getppid has no preconditions.
    assert_eq!(call(handle, c"call_called"), unsafe { libc::getppid() });
    assert_eq!(page::load(slot.address), oracle, "the loader bound it after all");
}

#[test]
fn without_a_linkage_table_only_slots_never_loaded_are_hooked() {
    let (path, handle) = open("noplt", &["-fno-plt", "-Wl,-z,now"]);
    let (component, decided) = decisions(&path, false);
    let Some((slot, Decision::Hook(SiteHow::GlobDat, value, _))) = decided.get("getppid") else {
        panic!("getppid is not hooked")
    };
    assert!(matches!(&decided["getpid"].1, Decision::Calls(_, calls) if calls.len() == 1));
    assert!(component.relro.is_some_and(|(low, high)| low <= slot.address && slot.address < high));
    exchange(&component, slot, replacement as *const () as usize);
    assert_eq!(call(handle, c"call_called"), 4242);
    exchange(&component, slot, *value);
    // SAFETY: getppid has no preconditions.
    assert_eq!(call(handle, c"call_called"), unsafe { libc::getppid() });
}

/// Every way in which a compiler and a linker write calls through a slot that is loaded too.
#[test]
fn calls_through_a_loaded_slot_are_led_elsewhere_and_the_pointer_stays() {
    let ways: [(&str, &[&str]); 6] = [
        ("mixed", &["-Wl,-z,now"]),
        ("mixedlazy", &["-Wl,-z,lazy"]),
        ("mixedibt", &["-fcf-protection", "-Wl,-z,ibtplt"]),
        ("mixednoplt", &["-fno-plt"]),
        ("mixednoeh", &["-Wl,--no-ld-generated-unwind-info"]),
        ("mixedtail", &["-O2", "-fno-plt", "-fcf-protection"]),
    ];
    for (name, flags) in ways {
        let (path, handle) = open(name, flags);
        let (component, decided) = decisions(&path, false);
        let Some((slot, Decision::Calls(value, calls))) = decided.get("getpid") else {
            panic!("{name}: the calls of getpid are not hooked")
        };
        let stub = replacement as *const () as usize;
        let (slot, original, calls) = (slot.address, *value, calls.clone());
        let mut wanted = vec![Redirect { slot, shift: 0, original, stub, calls }];
        let mut pages = Vec::new();
        let refused = &mut |_: &Redirect, why| panic!("{name}: {why:?}");
        redirect::apply(&component, &mut pages, &mut wanted, refused);
        assert_eq!(call(handle, c"call_loaded"), 4242, "{name}");
        assert_eq!(page::load(slot), original, "{name}");
        redirect::switch(&wanted, false);
        // SAFETY: getpid has no preconditions.
        assert_eq!(call(handle, c"call_loaded"), unsafe { libc::getpid() }, "{name}");
        // The object stays loaded, and its calls stay led to the twin.
        core::mem::forget(pages);
    }
}

#[test]
fn calls_in_code_that_no_function_covers_are_left_alone() {
    let flags = ["-fno-plt", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let (path, _) = open("uncovered", &flags);
    let (_, decided) = decisions(&path, false);
    assert!(matches!(decided["getpid"].1, Decision::Skip(SkipReason::DataUse)));
}

#[test]
fn bound_slots_self_calls_and_missing_symbols_are_told_apart() {
    let (path, _) = open("bound", &["-Wl,-z,now"]);
    let (_, decided) = decisions(&path, false);
    assert!(matches!(decided["getppid"].1, Decision::Hook(SiteHow::JumpSlot, ..)));
    assert!(matches!(decided["own"].1, Decision::Skip(SkipReason::SelfCall)));
    if let Some((_, missing)) = decided.get("no_such_function") {
        assert!(!matches!(missing, Decision::Hook(..)));
    }
    let (_, decided) = decisions(&path, true);
    assert!(matches!(decided["own"].1, Decision::Hook(..)), "self-calls were asked for");

    let (path, _) = open("selflazy", &["-Wl,-z,lazy"]);
    let (_, decided) = decisions(&path, false);
    assert!(matches!(decided["own"].1, Decision::Skip(SkipReason::SelfCall)));
    let unresolved = decided.values().filter(|(_, what)| matches!(what, Decision::Unresolved));
    assert!(unresolved.count() <= 1, "only the missing function can be unresolved");
}

#[test]
fn every_slot_the_loader_bound_at_start_is_bound_alike_by_our_lookup() {
    let all = loaded();
    let components: Vec<&Component> = all.iter().collect();
    let mut global = closure(&components, &[0]);
    global.sort_unstable();
    let scope: Vec<&Component> = global.iter().map(|&at| components[at]).collect();
    let mut compared = 0;
    for component in scope.iter().filter(|c| c.flags & (FLAG_VDSO | FLAG_LOADER) == 0) {
        for slot in slots::collect(component) {
            let tables = &component.tables;
            let symbol = tables.symbol(slot.symbol as usize).expect("a symbol");
            let name = tables.name(&symbol).expect("a name");
            let value = page::load(slot.address);
            let lazy = component.low <= value && value < component.high;
            if lazy || !components.iter().any(|c| c.is_code(value)) {
                continue;
            }
            let wanted = Wanted::new(name, tables.version(slot.symbol as usize));
            let found = resolve(&scope, &wanted).map(|found| found.address);
            assert_eq!(found, Some(value), "{}", String::from_utf8_lossy(name));
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} slots to compare");
}

/// The next number of a xorshift sequence.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

#[test]
fn damaged_objects_are_read_without_a_fault() {
    let (path, _) = open("damaged", &["-Wl,-z,lazy"]);
    let all = loaded();
    let original = all
        .iter()
        .find(|component| path.as_os_str().as_encoded_bytes() == component.path)
        .expect("it is loaded");
    let bytes: Vec<u64> = (original.low..original.high)
        .step_by(8)
        .map(|at| original.read::<u64>(at).unwrap_or(0))
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut readable = 0;
    for _ in 0..2000 {
        let mut image = bytes.clone();
        let low = image.as_ptr() as usize;
        let damage = 1 + next(&mut state) % 24;
        let tables = image.len().min(0x1000 / 8);
        let dynamic = (original.dynamic - original.low) / 8;
        for word in image.iter_mut().skip(dynamic).take(64) {
            // The loader has turned the section's offsets into addresses of the original.
            if (original.low..original.high).contains(&(*word as usize)) {
                *word = (*word as usize - original.low + low) as u64;
            }
        }
        for _ in 0..damage {
            // Headers and tables stand at the beginning, the dynamic section near the end.
            let at = match next(&mut state) % 2 {
                0 => next(&mut state) % tables,
                _ => (dynamic + next(&mut state) % 48).min(image.len() - 1),
            };
            let bit = 1u64 << (next(&mut state) % 64);
            image[at] = if next(&mut state).is_multiple_of(4) {
                next(&mut state) as u64
            } else {
                image[at] ^ bit
            };
        }
        let moved = |address: usize| address - original.low + low;
        let mut component = Component {
            id: 1,
            flags: 0,
            path: original.path.clone(),
            build_id: Vec::new(),
            base: low,
            low,
            high: low + image.len() * 8,
            segments: original.segments.clone(),
            relro: None,
            dynamic: moved(original.dynamic),
            unwind: 0,
            tables: Tables::default(),
            soname: Vec::new(),
            needed: Vec::new(),
        };
        for segment in &mut component.segments {
            segment.low = moved(segment.low);
            segment.high = moved(segment.high).min(component.high);
        }
        component.tables = Tables::read(&component);
        let _ = (component.tables.soname().len(), component.tables.needed());
        readable += read_all(&component);
    }
    assert!(readable > 1000, "the damage leaves something to read: {readable}");
}

/// Asks everything of a component; how many slots had a readable name.
fn read_all(component: &Component) -> u32 {
    let mut readable = 0;
    for slot in slots::collect(component) {
        let Some(symbol) = component.tables.symbol(slot.symbol as usize) else { continue };
        let Some(name) = component.tables.name(&symbol) else { continue };
        let version = component.tables.version(slot.symbol as usize);
        let _ = component.tables.find(&Wanted::new(name, version));
        readable += 1;
    }
    let _ = component.tables.find(&Wanted::new(b"own", None));
    let _ = component.tables.is_canonical_plt(component.low, component.low);
    readable
}
