//! Reordered, lost, repeated, altered and truncated segments: nothing is installed, and the memory
//! does not change.

use rsp::ids::Aid;
use rsp::ota::script::{Chaining, Command, Form, Script};

use super::oce::{open, personalised, tlvs};
use super::testbed::{NEW, Testbed, aes_keys, package, text};
use crate::state::m2m::LifeCycle;

/// A card with an open channel, the segments of a package, and a snapshot of the card before the
/// segments.
struct Download {
    testbed: Testbed,
    snapshot: super::testbed::Snapshot,
    segments: Vec<Vec<u8>>,
}

fn download() -> Download {
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    let mut host = open(&mut testbed, keys, NEW);
    let segments = package(NEW, None).chunks(400).map(|segment| host.segment(segment)).collect();
    let snapshot = testbed.snapshot();
    Download { testbed, snapshot, segments }
}

impl Download {
    /// Sends the segments. Asserts that the card refuses one of them and installs nothing.
    #[track_caller]
    fn assert_refused(&mut self, segments: &[Vec<u8>], what: &str) {
        self.testbed.restore(&self.snapshot);
        let before = self.testbed.memory();
        let answers = tlvs(&mut self.testbed, NEW, Some(Chaining::Last), segments);
        let last = answers.last().unwrap();
        assert!(last.starts_with("9F46") || last == "8600", "{what}: {last}");
        assert!(self.testbed.memory() == before, "{what}");
        assert_eq!(self.testbed.life_cycle(NEW), Some(LifeCycle::Personalised), "{what}");
        assert!(self.testbed.card.volatile.m2m.0.is_empty(), "{what}: a session is still open");
    }
}

#[test]
fn all_segments_in_order_install_the_profile() {
    let Download { mut testbed, segments, .. } = download();
    assert!(segments.len() > 3);
    tlvs(&mut testbed, NEW, Some(Chaining::Last), &segments);
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled));
}

// req: SGP.02-4.1.3.3-Chain
#[test]
fn reordered_lost_or_repeated_segments_are_refused() {
    let mut download = download();
    let good = download.segments.clone();
    for at in 0..good.len() {
        let mut swapped = good.clone();
        swapped.swap(at, (at + 1) % good.len());
        download.assert_refused(&swapped, &format!("swapped {at}"));
        let mut dropped = good.clone();
        dropped.remove(at);
        download.assert_refused(&dropped, &format!("dropped {at}"));
        if at + 1 < good.len() {
            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            download.assert_refused(&doubled, &format!("doubled {at}"));
        }
    }
}

// req: SGP.02-4.1.3.3-Mac
#[test]
fn an_altered_octet_of_a_segment_is_refused() {
    let mut download = download();
    let first = download.segments[0].clone();
    for octet in 0..first.len() {
        let mut altered = first.clone();
        altered[octet] ^= 1;
        // Tag and length are parsed with the script.
        let octets = [&[0xAA, 0x82, 0, 0][..], &altered].concat();
        let mut script = octets.clone();
        let length = u16::try_from(altered.len()).unwrap().to_be_bytes();
        (script[2], script[3]) = (length[0], length[1]);
        let Ok(script) = Script::parse(&script) else { continue };
        download.testbed.restore(&download.snapshot);
        let before = download.testbed.memory();
        let script = Script { chaining: Some(Chaining::Last), ..script };
        let answers = text(&download.testbed.run(Aid::isd_p(NEW), &script));
        let last = answers.last().unwrap();
        assert!(last.starts_with("9F4"), "octet {octet}: {last}");
        assert!(download.testbed.memory() == before, "octet {octet}");
    }
}

// req: SGP.02-4.1.3.3-Length
#[test]
fn a_segment_truncated_at_any_octet_is_refused() {
    let mut download = download();
    let first = download.segments[0].clone();
    let (_, contents) = rsp::der::tlv::split(&first).unwrap();
    for length in 0..contents.len() {
        let cut = rsp::der::tlv_bytes(rsp::der::Tag(0x86), &contents[..length]);
        download.assert_refused(&[cut], &format!("cut to {length}"));
        // The original header announces more octets than there are.
        let raw = first[..first.len() - contents.len() + length].to_vec();
        download.testbed.restore(&download.snapshot);
        let commands = vec![Command::SecureChannel(raw)];
        let script = Script { form: Form::Definite, chaining: Some(Chaining::Last), commands };
        let answers = text(&download.testbed.run(Aid::isd_p(NEW), &script));
        assert_eq!(answers, ["9F460101"], "{length}");
    }
}

#[test]
fn segments_of_another_session_are_refused() {
    let mut first = download();
    let old = first.segments.clone();
    // The second session is of the same card and uses the same keys.
    first.testbed.restore(&first.snapshot);
    let keys = {
        let isd_p = first.testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap();
        aes_keys(isd_p.key_set(0x30).unwrap())
    };
    open(&mut first.testbed, keys, NEW);
    first.snapshot = first.testbed.snapshot();
    first.assert_refused(&old, "another session");
}

#[test]
fn an_incomplete_package_leaves_nothing() {
    let mut download = download();
    for sent in 1..download.segments.len() {
        let segments = download.segments[..sent].to_vec();
        download.assert_refused(&segments, &format!("{sent} segments"));
    }
}
