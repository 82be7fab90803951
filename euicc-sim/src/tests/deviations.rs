//! Deviations that a card accepts with a finding and a strict card refuses: `docs/findings.md`.

use crypto::Curve;
use rsp::finding::FindingKind;
use rsp::ids::Aid;
use rsp::sgp22::IconType;
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason};
use rsp::time::Timestamp;
use world::{ManualClock, MemoryEvents, RamMemory, SeededRandom, World};

use super::download::ICCID;
use super::server::{Server, TestPackage, outcome};
use super::testbed::{Testbed, description, pki};
use crate::Card;

fn testbed(strict: bool) -> Testbed {
    Testbed::with(pki(), |card| card.strict = strict, RamMemory::default())
}

fn kinds(card: &Card) -> Vec<FindingKind> {
    card.findings().iter().map(|finding| finding.kind).collect()
}

const EID: &str = "BF3E125A10";
const NO_PROFILES: &str = "BF2D02A000";
const ICCID_NOT_FOUND: &str = "BF2903800101";

#[test]
fn a_strict_card_refuses_commands_with_findings_except_extensions() {
    let long_tag_list = format!("BF2D435C41{}", "5A".repeat(65));
    for (kind, command, response, is_refused) in [
        (FindingKind::NotDer, "BF3E81035C015A", EID, true),
        (FindingKind::TrailingOctets, "BF3E035C015A00", EID, true),
        (FindingKind::LongValue, &*long_tag_list, NO_PROFILES, true),
        (FindingKind::IccidCoding, "BF290F5A0AABABABABABABABABABAB900141", ICCID_NOT_FOUND, true),
        (FindingKind::TextNotUtf8, "BF290F5A0A980010325476981032149001FF", ICCID_NOT_FOUND, true),
        (FindingKind::UnknownElement, "BF3E065C015A9F7F00", EID, false),
    ] {
        let mut lenient = testbed(false);
        let answer = lenient.es10_text(command);
        assert!(answer.starts_with(response), "{kind}: {answer}");
        assert_eq!(kinds(&lenient.card), [kind], "{command}");
        let answer = testbed(true).es10_text(command);
        match is_refused {
            true => assert_eq!(answer, "6A80", "{kind}"),
            false => assert!(answer.starts_with(response), "{kind}: {answer}"),
        }
    }
}

#[test]
fn a_strict_card_refuses_an_icon_that_cannot_be_shown() {
    let mut package = TestPackage::small(ICCID);
    package.metadata.icon_type = Some(IconType::PNG);
    package.metadata.icon = Some(vec![0xFF, 0xD8, 0xFF, 0xE0]);
    let refused = Err((BppCommandId::STORE_METADATA, ErrorReason::INCORRECT_INPUT_VALUES));
    for (strict, expected) in [(false, Ok(())), (true, refused)] {
        let mut testbed = testbed(strict);
        let server = Server::new(&testbed, Curve::P256);
        assert_eq!(outcome(&server.download(&mut testbed, &package)), expected, "strict: {strict}");
        assert_eq!(kinds(&testbed.card), [FindingKind::IconUnreadable], "strict: {strict}");
    }
}

#[test]
fn the_first_deviation_of_each_kind_is_an_event() {
    let (clock, random) = (ManualClock::at(Timestamp::default()), SeededRandom::from_text("card"));
    let card = Card::open(description(&pki()), RamMemory::default(), World::new(clock, random)).unwrap();
    let events = MemoryEvents::default();
    let mut card = card.with_events(events.clone());
    let select = [&[0, 0xA4, 4, 0, 16][..], &Aid::ISD_R].concat();
    assert_eq!(card.transmit(&select)[0], 0x61);
    for command in ["BF3E81035C015A", "BF3E81035C015A", "BF3E8200035C015A", "BF3E035C015A00"] {
        let command = hex::decode(command).unwrap();
        let length = u8::try_from(command.len()).unwrap();
        let answer = card.transmit(&[&[0x80, 0xE2, 0x91, 0, length][..], &command].concat());
        assert_eq!(answer[0], 0x61, "{answer:02X?}");
    }
    let found: Vec<_> = events.all().into_iter().flat_map(|event| event.findings).collect();
    assert_eq!(
        found.iter().map(|it| it.kind).collect::<Vec<_>>(),
        [FindingKind::NotDer, FindingKind::TrailingOctets]
    );
    assert_eq!(card.findings().len(), 3, "{:?}", card.findings());
}
