//! Files as recorders leave them, and as nobody should.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const RATE: u32 = 8000;

#[test]
fn the_samples_are_found_whatever_the_header_says() {
    let samples = tone(RATE, 440.0, 0.5, 1000);
    let good = wav(&samples);
    let lengths = |riff: u32, data: u32| {
        let mut file = good.clone();
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[40..44].copy_from_slice(&data.to_le_bytes());
        file
    };
    let list = [&b"LIST"[..], &5_u32.to_le_bytes(), b"INFOx\0"].concat();
    let mut before = [&good[..36], &list, &good[36..]].concat();
    let riff = (before.len() as u32 - 8).to_le_bytes();
    before[4..8].copy_from_slice(&riff);
    let mut after = [&good[..], &list].concat();
    after[4..8].copy_from_slice(&riff);
    let mut appended = [&good[..], &good[44..]].concat();
    appended[40..44].copy_from_slice(&2000_u32.to_le_bytes());

    //                          file, frames, repaired, closed
    let cases: [(&str, Vec<u8>, u64, bool, bool); 14] = [
        ("closed", good.clone(), 1000, false, true),
        ("never closed (Asterisk)", lengths(0, 0), 1000, true, false),
        ("died between the two lengths", lengths(2036, 0), 1000, true, false),
        ("a stream", lengths(u32::MAX, u32::MAX), 1000, true, false),
        ("too long", lengths(9036, 9000), 1000, true, false),
        ("too short, as after an append that died", appended, 2000, true, false),
        ("right data, wrong RIFF", lengths(0, 2000), 1000, false, false),
        ("cut in a sample", good[..good.len() - 1].to_vec(), 999, true, false),
        ("cut in a sample, lengths 0", lengths(0, 0)[..good.len() - 1].to_vec(), 999, true, false),
        ("a chunk before", before, 1000, false, true),
        ("a chunk after", after.clone(), 1000, false, true),
        ("just opened", lengths(0, 0)[..44].to_vec(), 0, false, false),
        ("closed and empty", wav(&[]), 0, false, true),
        ("closed and empty, with a chunk after", [&wav(&[])[..], &list].concat(), 0, false, false),
    ];
    let dir = TempDir::new().expect("dir");
    for (what, file, frames, repaired, closed) in cases {
        let layout = riff::scan(&mut Cursor::new(&file)).expect(what);
        let start = layout.start;
        assert_eq!(layout, Layout { rate: RATE, start, frames, repaired, closed }, "{what}");
        let path = dir.path().join("x.wav");
        fs::write(&path, &file).expect("write");
        let read: Vec<i16> = Pcm::open(&path, &layout).expect(what).map(|s| s.expect(what)).collect();
        assert_eq!(read.len() as u64, frames, "{what}");
        let expected = samples.iter().cycle();
        assert!(read.iter().zip(expected).take(1000).all(|(read, was)| read == was), "{what}");
    }
}

#[test]
fn what_is_no_recording_is_refused() {
    let good = wav(&[1, 2, 3]);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for file in [
        Vec::new(),
        good[..43].to_vec(),
        good[..20].to_vec(),
        with(0, b"RIFX"),
        with(8, b"AVI "),
        with(36, b"tada"),
    ] {
        assert!(matches!(riff::scan(&mut Cursor::new(&file)), Err(AudioError::NotWav(_))), "{file:?}");
    }
    for file in [with(20, &7_u16.to_le_bytes()), with(22, &[2]), with(24, &[0; 4]), with(34, &[8])] {
        assert!(matches!(riff::scan(&mut Cursor::new(&file)), Err(AudioError::Unsupported(_))), "{file:?}");
    }
}

#[test]
fn no_bytes_make_the_scanner_panic_or_read_beyond_the_file() {
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let mut reached = 0;
    for round in 0..20_000 {
        let mut file = wav(&[7; 50]);
        for _ in 0..noise() % 6 {
            let at = noise() % file.len();
            file[at] = if round % 2 == 0 { noise() as u8 } else { [0, 0xFF, 1, b'd'][noise() % 4] };
        }
        file.truncate(noise() % (file.len() + 20));
        if let Ok(layout) = riff::scan(&mut Cursor::new(&file)) {
            assert!(layout.start + layout.frames * 2 <= file.len() as u64, "{layout:?} in {}", file.len());
            reached += 1;
        }
    }
    assert!(reached > 1000, "enough of them were still files: {reached}");
}

#[test]
fn a_window_of_100_ms_above_minus_50_dbfs_is_heard() {
    let audible = |samples: &[i16]| {
        let mut loudness = Loudness::new(RATE);
        samples.iter().for_each(|sample| loudness.push(*sample));
        loudness.audible()
    };
    // A square wave of amplitude a has an RMS of a: -50 dBFS is 103.6.
    let square = |amplitude: i16, len: usize| -> Vec<i16> {
        (0..len).map(|n| if n / 8 % 2 == 0 { amplitude } else { -amplitude }).collect()
    };
    assert!(!audible(&[]));
    assert!(!audible(&[0; 8000]));
    assert!(!audible(&square(103, 8000)));
    assert!(audible(&square(104, 8000)));
    assert!(audible(&[i16::MIN; 800]));
    let in_silence = |sound: Vec<i16>, before: usize| [vec![0; before], sound, vec![0; 8000]].concat();
    for before in [0, 333, 800, 7999] {
        assert!(audible(&in_silence(square(110, 1000), before)), "125 ms after {before}");
        assert!(!audible(&in_silence(square(110, 400), before)), "50 ms after {before} do not fill a window");
    }
    assert!(audible(&square(104, 100)), "what is shorter is one window");
    assert!(!audible(&square(103, 100)));
    assert!(audible(&tone(RATE, 440.0, 0.1, 8000)));
    assert!(!audible(&tone(RATE, 440.0, 0.003, 8000)));
}

#[test]
fn two_sides_are_joined_customer_left() {
    let dir = TempDir::new().expect("dir");
    let side = |name: &str, samples: &[i16]| -> Option<Pcm> {
        let path: PathBuf = dir.path().join(name);
        fs::write(&path, wav(samples)).expect("write");
        let layout = riff::scan(&mut fs::File::open(&path).expect("open")).expect("scan");
        Some(Pcm::open(&path, &layout).expect("pcm"))
    };
    let (customer, agent) = (tone(RATE, 440.0, 0.5, 10_000), tone(RATE, 620.0, 0.5, 9_000));
    for (left, right, frames) in [
        (true, true, 10_000_u64),
        (true, true, 8_500),
        (true, false, 10_000),
        (false, true, 9_500),
        (true, true, 0),
    ] {
        let open = |wanted: bool, name, samples| wanted.then(|| side(name, samples)).flatten();
        let stereo = Stereo::new(open(left, "in", &customer), open(right, "out", &agent), RATE, frames);
        let mut file = Vec::new();
        stereo.expect("stereo").read_to_end(&mut file).expect("read");
        assert_eq!(file.len() as u64, Stereo::len(frames));
        let mut reader = WavReader::new(&file[..]).expect("hound reads it");
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, RATE, 16));
        let read: Vec<i16> = reader.samples().map(|sample| sample.expect("sample")).collect();
        assert_eq!(read.len() as u64, 2 * frames);
        for (n, frame) in read.chunks(2).enumerate() {
            let was = |wanted: bool, samples: &[i16]| {
                if wanted { samples.get(n).copied().unwrap_or(0) } else { 0 }
            };
            assert_eq!(frame, [was(left, &customer), was(right, &agent)], "frame {n}");
        }
    }
    assert!(matches!(riff::header(2, RATE, 1 << 30), Err(AudioError::TooLong)));
}

/// A closed mono file, as a recorder leaves it.
pub(crate) fn wav(samples: &[i16]) -> Vec<u8> {
    let mut file = riff::header(1, RATE, samples.len() as u64).expect("header").to_vec();
    samples.iter().for_each(|sample| file.extend_from_slice(&sample.to_le_bytes()));
    file
}

/// A sine.
pub(crate) fn tone(rate: u32, hertz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    (0..samples).map(|n| (32_767.0 * amplitude * (step * n as f64).sin()) as i16).collect()
}
