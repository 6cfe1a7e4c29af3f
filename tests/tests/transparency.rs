//! A watched program does and says what it does and says alone: standard output, standard error,
//! exit status. Every testapp, under `perfvisor run` in all modes and with a bare preload.

use e2e::{apps, Mode, Outcome, Perfvisor, Recording, Testapp};

/// Asserts that both runs looked the same from outside.
fn assert_same(native: &Outcome, watched: &Recording, how: &str) {
    assert_eq!(native.stdout, watched.outcome.stdout, "{how}: standard output differs");
    assert_eq!(native.stderr, watched.outcome.stderr, "{how}: standard error differs");
    assert_eq!(native.status, watched.outcome.status, "{how}: exit status differs");
}

fn app(app: &apps::App) -> Perfvisor {
    Perfvisor::testapp(app.name).args(app.arguments)
}

#[test]
fn testapps_are_the_same_when_recorded() {
    apps::check_all(|each| {
        let native = app(each).native().outcome;
        let watched = app(each).record();
        assert_same(&native, &watched, each.name);
    });
}

#[test]
fn testapps_are_the_same_when_every_call_is_timed() {
    apps::check_all(|each| {
        let native = app(each).native().outcome;
        let watched = app(each).flags(Mode::Exact.flags()).record();
        assert_same(&native, &watched, each.name);
    });
}

#[test]
fn testapps_are_the_same_when_every_call_is_an_event() {
    apps::check_all(|each| {
        let native = app(each).native().outcome;
        let watched = app(each).flags(Mode::Events.flags()).record();
        assert_same(&native, &watched, each.name);
    });
}

#[test]
fn testapps_are_the_same_under_a_bare_preload() {
    apps::check_all(|each| {
        let native = app(each).native().outcome;
        let watched = app(each).record_by_preload();
        assert_same(&native, &watched, each.name);
    });
}

#[test]
fn bindings_of_every_kind_are_the_same() {
    let variants: &[&[&str]] = &[
        &["-Wl,-z,lazy"],
        &["-Wl,-z,now"],
        &["-Wl,-z,now", "-Wl,-z,relro"],
        &["-fno-plt"],
        &["-fno-pie", "-no-pie"],
        &["-fcf-protection=full"],
        &["-Wl,--hash-style=sysv"],
    ];
    for flags in variants {
        for name in ["micro", "nested", "identity", "weak", "ifunc", "versions"] {
            let app = Testapp::variant(name, flags);
            let native = Perfvisor::program(app.path()).native().outcome;
            let watched = Perfvisor::program(app.path()).record();
            assert_same(&native, &watched, &format!("{name} {flags:?}"));
        }
    }
}

#[test]
fn the_environment_of_the_program_is_its_own() {
    let long = "x".repeat(100_000);
    let run = || Perfvisor::testapp("environment").env("LONG", &long).env("EMPTY", "");
    let native = run().native().outcome;
    assert_same(&native, &run().record(), "environment");
    assert_same(&native, &run().flags(&["--no-follow"]).record(), "environment, not followed");
}
