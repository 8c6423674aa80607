//! The laws of the fuzz targets, over their corpus and over some thousands of mutations of it. A mutation that breaks a law
//! is named by its number, and every run makes the same ones.

use std::{fs, path::Path};

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::laws;

/// How many mutations are tried for each target.
const MUTATIONS: u64 = 8_000;

/// Bytes at which formats like to break.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, 0x40, 0x3f];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is in the repository");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} holds too little", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a corpus file can be read")).collect()
}

/// A seed with up to four changes.
fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let mut data = seeds.choose(&mut random).expect("a seed").clone();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=data.len());
        let to = (at + random.random_range(1..=8)).min(data.len());
        match random.random_range(0..6) {
            0 if at < data.len() => data[at] ^= 1 << random.random_range(0..8),
            1 if at < data.len() => data[at] = *EDGES.choose(&mut random).expect("an edge"),
            2 if at < data.len() => data[at] = data[at].wrapping_add(random.random_range(0..5)).wrapping_sub(2),
            3 => drop(data.drain(at..to)),
            4 => {
                let part = data[at..to].to_vec();
                data.splice(at..at, part);
            }
            _ => {
                let other = seeds.choose(&mut random).expect("a seed");
                let from = random.random_range(0..=other.len());
                data.splice(at..to, other[from..(from + 8).min(other.len())].iter().copied());
            }
        }
    }
    data
}

fn check(target: &str, law: fn(&[u8])) {
    let seeds = corpus(target);
    seeds.iter().for_each(|seed| law(seed));
    for number in 0..MUTATIONS {
        let data = mutated(&seeds, number);
        let broken = std::panic::catch_unwind(|| law(&data)).is_err();
        assert!(!broken, "mutation {number} of {target} breaks its law: {data:x?}");
    }
}

#[test]
fn the_frames_of_the_corpus_keep_their_law() {
    check("frame", laws::frame::holds);
}

#[test]
fn the_sync_messages_of_the_corpus_keep_their_law() {
    check("vetting", laws::vetting::holds);
}
