//! Damaged traces give errors and damages with their place, never a panic or nonsense.

use crate::case::Files;
use crate::folder::Folder;
use crate::promises::examine;
use crate::sample;
use perfvisor::model::Profile;
use perfvisor::read::ReadError;

/// Reads a damaged trace in every way there is; whether it could be read.
fn read(files: &[(String, Vec<u8>)]) -> Result<Profile, ReadError> {
    let result = examine(Folder::new(files).path());
    if let Err(error) = &result {
        assert!(error.to_string().contains("p100.0"), "{error}");
    }
    result
}

fn samples() -> [Files; 4] {
    [sample::workers(), sample::folding(), sample::events(), sample::syscalls()]
}

/// Offsets at which something of a file ends: every 8 bytes of what is not zero.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends: Vec<usize> = (0..bytes.len())
        .step_by(8)
        .filter(|&at| at < 128 || bytes[at.saturating_sub(8)..(at + 8).min(bytes.len())] != [0; 16])
        .collect();
    ends.push(bytes.len().saturating_sub(1));
    ends
}

#[test]
fn a_file_cut_anywhere_is_told_or_read_as_far_as_it_goes() {
    for files in samples() {
        let whole = read(&files).expect("the whole trace");
        for at in 0..files.len() {
            // Every end of the first sample's files would take minutes: every third of each.
            for end in ends(&files[at].1).into_iter().step_by(3) {
                let mut cut = files.clone();
                cut[at].1.truncate(end);
                let name = &files[at].0;
                match read(&cut) {
                    Ok(profile) => {
                        assert!(profile.coverage.calls <= whole.coverage.calls, "{name} at {end}");
                    }
                    Err(error) => {
                        assert!(name.ends_with("process.pv"), "{name} at {end}: {error}");
                        assert!(error.to_string().contains("offset"), "{error}");
                    }
                }
            }
        }
    }
}

/// A generator with a fixed seed: the same cases in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn flipped_bits_never_panic_and_never_give_nonsense() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for files in samples() {
        // Flips where something stands; zeros far from it are holes.
        let places: Vec<(usize, usize)> = files
            .iter()
            .enumerate()
            .flat_map(|(file, (_, bytes))| {
                let near =
                    |at: usize| bytes[at..(at + 16).min(bytes.len())].iter().any(|&b| b != 0);
                (0..bytes.len()).step_by(16).filter(move |&at| near(at)).map(move |at| (file, at))
            })
            .collect();
        for _ in 0..1_000 {
            let mut flipped = files.clone();
            for _ in 0..1 + random.below(4) {
                let (file, at) = places[random.below(places.len())];
                let bytes = &mut flipped[file].1;
                let at = (at + random.below(16)).min(bytes.len() - 1);
                bytes[at] ^= 1 << random.below(8);
            }
            let _ = read(&flipped);
        }
    }
}

#[test]
fn files_of_noise_never_panic() {
    let mut random = Random(77);
    for files in samples() {
        for file in 0..files.len() {
            for _ in 0..20 {
                let mut noisy = files.clone();
                let bytes = &mut noisy[file].1;
                // Behind the head, which would only be refused.
                let from = 64 + random.below(bytes.len() - 64);
                for at in from..(from + 4_096).min(bytes.len()) {
                    bytes[at] = random.below(256) as u8;
                }
                let _ = read(&noisy);
            }
        }
    }
}

#[test]
fn errors_say_file_offset_expected_and_found() {
    let mut foreign = sample::workers();
    foreign[0].1[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    let error = read(&foreign).expect_err("a foreign process.pv").to_string();
    assert!(error.contains("p100.0/process.pv: offset 0: expected \"PERFVSR"), "{error}");
    assert!(error.contains(".ELF"), "{error}");

    let mut newer = sample::workers();
    newer[0].1[8] = 9;
    let error = read(&newer).expect_err("a newer format").to_string();
    assert!(error.contains("offset 8: expected format version 1.x, found version 9.0"), "{error}");

    let mut absent = sample::workers();
    absent.remove(0);
    assert!(matches!(read(&absent), Err(ReadError::Io { .. })));
    let empty = Folder::new(&[("readme".into(), Vec::new())]);
    assert!(matches!(empty.load(), Err(ReadError::NoTrace { .. })));
}

#[test]
fn a_damaged_thread_is_listed_and_the_others_are_still_read() {
    let mut files = sample::workers();
    let whole = read(&files).expect("the whole trace").coverage.calls;
    let at = files.iter().position(|(name, _)| name.ends_with("t1.pv")).expect("t1.pv");
    // The image id: the file of another image.
    files[at].1[32] ^= 1;
    let crc = perfvisor_format::crc32(&files[at].1[..40]);
    files[at].1[40..44].copy_from_slice(&crc.to_le_bytes());
    let profile = read(&files).expect("the rest of the trace");
    assert_eq!(profile.coverage.calls, whole - 1_110);
    let damage = &profile.losses.damages[0];
    assert_eq!((damage.file.as_str(), damage.offset_bytes), ("p100.0/t1.pv", 32));
    assert!(damage.expected.contains("image id"), "{damage}");
}

#[test]
fn records_behind_a_damaged_one_are_found_again() {
    let mut files = sample::workers();
    let whole = read(&files).expect("the whole trace");
    // A byte in the payload of the second setting.
    files[0].1[4096 + 16 + 40] ^= 0xff;
    let profile = read(&files).expect("the rest of the trace");
    assert_eq!(profile.losses.damages.len(), 1);
    assert_eq!(profile.sites.len(), whole.sites.len());
    assert_eq!(profile.coverage.calls, whole.coverage.calls);
}
