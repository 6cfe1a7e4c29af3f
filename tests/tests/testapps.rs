//! The testapps themselves: each compiles, ends well and says the same twice, with nobody watching.
//! Without this, "the same as native" would mean nothing.

use e2e::{apps, Perfvisor, Testapp};

#[test]
fn every_testapp_repeats_itself_natively() {
    apps::check_all(|app| {
        let first = Perfvisor::testapp(app.name).args(app.arguments).native();
        let second = Perfvisor::testapp(app.name).args(app.arguments).native();
        assert_eq!(first.outcome, second.outcome, "{}", app.name);
        assert_eq!(
            (first.outcome.code(), first.outcome.signal()),
            (app.code, app.signal),
            "{}: {:?}",
            app.name,
            first.outcome
        );
        let says = app.name == "uncaught";
        assert_eq!(!first.outcome.stderr.is_empty(), says, "{}: {:?}", app.name, first.outcome);
    });
}

#[test]
fn every_source_of_a_testapp_is_run() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../testapps");
    for entry in std::fs::read_dir(folder).expect("testapps") {
        let file = entry.expect("entry").path();
        let stem = file.file_stem().expect("name").to_string_lossy().into_owned();
        let source = file.extension().is_some_and(|end| end == "c" || end == "cpp" || end == "rs");
        if source && !stem.starts_with("lib") {
            assert!(apps::ALL.iter().any(|app| app.name == stem), "{stem} is in no test");
        }
    }
}

#[test]
fn a_changed_flag_makes_another_executable() {
    let lazy = Testapp::variant("micro", &["-Wl,-z,lazy"]);
    let now = Testapp::variant("micro", &["-Wl,-z,now"]);
    assert_ne!(lazy.path(), now.path());
}
