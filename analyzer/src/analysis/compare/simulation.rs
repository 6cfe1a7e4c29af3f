//! False alarms and power on made-up recordings whose runs differ as real ones do.
//!
//! What varies is what was measured of real programs (see `noise`): each run has a speed of its own
//! (4 %), each API in each run another (3 to 40 %, as the API is), single calls spread lognormally, cheap
//! ones are timed now and then, and threads divide counts by chance.

use super::*;

/// Seeded numbers: the same in each run of the tests (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box & Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// One API of the made-up program.
#[derive(Clone)]
struct Kind {
    calls: f64,
    mean_ns: f64,
    /// Standard deviation of ln(mean) from run to run.
    noise: f64,
    /// The same of its count.
    count_noise: f64,
}

fn program(random: &mut Random, threads: u64) -> Vec<Kind> {
    (0..30)
        .map(|at| Kind {
            calls: (50.0 * 10f64.powf(3.0 * random.uniform())).round(),
            mean_ns: 300.0 * 10f64.powf(3.0 * random.uniform()),
            noise: 0.03 * 13f64.powf(random.uniform()),
            count_noise: if threads > 1 && at % 6 == 0 { 0.1 * random.uniform() } else { 0.0 },
        })
        .collect()
}

fn run(random: &mut Random, kinds: &[Kind], threads: u64) -> Run {
    let speed = (0.04 * random.normal()).exp();
    let mut run = Run { threads, start_realtime_ns: 1, ..Run::default() };
    for (at, kind) in kinds.iter().enumerate() {
        let calls = (kind.calls * (kind.count_noise * random.normal()).exp()).round().max(1.0);
        let factor = speed * (kind.noise * random.normal()).exp();
        // Single calls: 40 of 40 equally likely times of a lognormal law, shaken a little.
        let part = |q: f64| (0.5 * (q.ln() - (1.0 - q).ln()) / 1.7).exp();
        let times: Vec<(f64, u64)> = (0..40)
            .map(|i| {
                let shaken = 1.0 + 0.2 * random.normal() / (calls / 40.0).max(1.0).sqrt();
                let ns =
                    kind.mean_ns * factor * part((f64::from(i) + 0.5) / 40.0) * shaken.max(0.1);
                (ns, (calls / 40.0).ceil() as u64)
            })
            .collect();
        let mut times = times;
        times.sort_by(|x, y| x.0.total_cmp(&y.0));
        let all: u64 = times.iter().map(|(_, n)| n).sum();
        let sum: f64 = times.iter().map(|(ns, n)| ns * *n as f64).sum();
        let whole = Footprint {
            calls: calls as u64,
            timed: calls as u64,
            known: calls,
            total_ns: sum / all as f64 * calls,
            max_ns: times.last().map_or(0.0, |last| last.0),
            times,
            ..Footprint::default()
        };
        run.wall_ns += whole.total_ns as u64;
        run.program.calls += whole.calls;
        run.apis.insert(format!("api_{at:02}"), ApiFootprint { whole, ..ApiFootprint::default() });
    }
    run.user_ns = Some((run.wall_ns as f64 * (0.02 * random.normal()).exp()) as u64);
    run.system_ns = Some(run.wall_ns / 20);
    run
}

fn sides(random: &mut Random, a: &[Kind], b: &[Kind], threads: u64, n: usize) -> [Vec<Run>; 2] {
    let side = |random: &mut Random, kinds| (0..n).map(|_| run(random, kinds, threads)).collect();
    [side(random, a), side(random, b)]
}

/// Of `pairs` comparisons of the same program with itself, how many tell a difference.
fn false_alarms(seed: u64, pairs: usize, threads: u64, runs: usize) -> usize {
    let mut random = Random(seed);
    (0..pairs)
        .filter(|_| {
            let kinds = program(&mut random, threads);
            let [a, b] = sides(&mut random, &kinds, &kinds, threads, runs);
            compare(&a, &b, &Options::default()).expect("APIs in common").told > 0
        })
        .count()
}

#[test]
fn one_run_a_side_gives_no_more_false_alarms_than_asked() {
    let (one, many) = (false_alarms(1, 100, 1, 1), false_alarms(2, 100, 4, 1));
    assert!(one <= 5 && many <= 5, "{one} and {many} of 100");
}

#[test]
fn several_runs_a_side_give_no_more_false_alarms_than_asked() {
    // Of 40, at α = 0.05 more than 5 have a probability of 1.4 %.
    let alarms = false_alarms(3, 40, 4, 8);
    assert!(alarms <= 5, "{alarms} of 40");
}

#[test]
fn bytes_are_no_more_exact_than_the_calls_that_move_them() {
    // 60 reads, one of which found a few lines more.
    let with = |bytes: u64| {
        let whole = Footprint {
            calls: 60,
            syscalls: Some(60),
            errors: Some(4),
            bytes: Some(bytes),
            ..Footprint::default()
        };
        let mut run = Run { threads: 1, program: whole.clone(), ..Run::default() };
        run.apis.insert("read".into(), ApiFootprint { whole, ..ApiFootprint::default() });
        run
    };
    let told =
        |b: u64| compare(&[with(111_457)], &[with(b)], &Options::default()).expect("an API").told;
    assert_eq!(told(113_608), 0);
    assert!(told(1_114_570) > 0, "ten times as many are a difference");
}

#[test]
fn without_a_correction_there_are_many() {
    let mut random = Random(4);
    let options = Options { correction: Correction::None, ..Options::default() };
    let alarms = (0..20)
        .filter(|_| {
            let kinds = program(&mut random, 1);
            let [a, b] = sides(&mut random, &kinds, &kinds, 1, 8);
            compare(&a, &b, &options).expect("APIs in common").told > 0
        })
        .count();
    assert!(alarms > 10, "{alarms} of 20: the false alarms above are not rare by nature");
}

/// The program with the first API a tenth slower (or more often called).
fn changed(kinds: &[Kind], time: f64, calls: f64) -> Vec<Kind> {
    let mut kinds = kinds.to_vec();
    kinds[0].mean_ns *= time;
    kinds[0].calls = (kinds[0].calls * calls).round();
    kinds
}

fn steady(random: &mut Random) -> Vec<Kind> {
    let mut kinds = program(random, 1);
    kinds[0] = Kind { calls: 20_000.0, mean_ns: 20_000.0, noise: 0.03, count_noise: 0.0 };
    kinds
}

fn tells(comparison: &Comparison, measure: Measure) -> bool {
    let first = Subject::Api { a: "api_00".into(), b: "api_00".into() };
    let row = comparison.rows.iter().find(|row| row.subject == first).expect("it was called");
    row.of(measure).expect("measured").verdict == Verdict::More
}

#[test]
fn twenty_runs_a_side_find_a_tenth_more_time() {
    let mut random = Random(5);
    let found = (0..20)
        .filter(|_| {
            let kinds = steady(&mut random);
            let [a, b] = sides(&mut random, &kinds, &changed(&kinds, 1.1, 1.0), 1, 20);
            let comparison = compare(&a, &b, &Options::default()).expect("APIs in common");
            let mean = Subject::Api { a: "api_00".into(), b: "api_00".into() };
            let row = comparison.rows.iter().find(|row| row.subject == mean).expect("called");
            let d = row.of(Measure::Mean).expect("timed");
            let holds = d.ratio_low < Some(1.1) && d.ratio_high > Some(1.1);
            assert!(holds || d.ratio.is_some_and(|r| (r - 1.1).abs() < 0.08), "{d:?}");
            tells(&comparison, Measure::Mean)
        })
        .count();
    // The speed of a run adds 4 %, so 10 % are two deviations from run to run. Ten runs a side find that
    // half the time.
    assert!(found >= 18, "{found} of 20");
}

#[test]
fn one_run_a_side_finds_a_tenth_more_calls_of_one_thread() {
    let mut random = Random(6);
    for _ in 0..20 {
        let kinds = steady(&mut random);
        let [a, b] = sides(&mut random, &kinds, &changed(&kinds, 1.0, 1.1), 1, 1);
        let comparison = compare(&a, &b, &Options::default()).expect("APIs in common");
        assert!(tells(&comparison, Measure::Calls));
    }
}

#[test]
fn one_run_a_side_finds_a_function_ten_times_as_slow() {
    let mut random = Random(7);
    let kinds = steady(&mut random);
    let [a, b] = sides(&mut random, &kinds, &changed(&kinds, 10.0, 1.0), 1, 1);
    let comparison = compare(&a, &b, &Options::default()).expect("APIs in common");
    assert!(tells(&comparison, Measure::Mean));
    assert!(comparison.notes[0].contains("record more runs"), "{:?}", comparison.notes);
}

#[test]
fn too_few_runs_say_how_many_are_needed() {
    let mut random = Random(8);
    let kinds = steady(&mut random);
    let [a, b] = sides(&mut random, &kinds, &changed(&kinds, 3.0, 1.0), 1, 3);
    let comparison = compare(&a, &b, &Options::default()).expect("APIs in common");
    assert_eq!(comparison.told, 0);
    assert!(comparison.notes.iter().any(|note| note.starts_with("So few runs")));
}

#[test]
fn maps_and_filters_say_what_is_compared() {
    let mut random = Random(9);
    let kinds = steady(&mut random);
    let [a, b] = sides(&mut random, &kinds, &kinds, 1, 1);
    let options = Options {
        maps: vec![Map { old: "api_00".into(), new: "api_01".into() }],
        apis: vec!["api_0[01]".into()],
        ..Options::default()
    };
    let comparison = compare(&a, &b, &options).expect("APIs match");
    let subjects: Vec<&Subject> = comparison.rows.iter().map(|row| &row.subject).collect();
    // The pair; and what the map left on each side, which the other does not have under its name.
    let pair = Subject::Api { a: "api_00".into(), b: "api_01".into() };
    assert!(subjects.contains(&&pair) && subjects.len() == 4, "{subjects:?}");
    let none = Options { apis: vec!["nosuch".into()], ..Options::default() };
    assert!(compare(&a, &b, &none).is_err());
}
