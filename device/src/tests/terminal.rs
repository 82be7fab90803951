//! Tests of the terminal with a scripted card: the expected commands and the card's answers.

use std::collections::VecDeque;

use rsp::ids::SmdpAddress;
use rsp::sgp22::es10c::{DeleteResult, EnableResult, ResetResult, reset_options};
use rsp::time::Timestamp;
use world::{Atr, CardInterface, CardInterfaceFault, Fault, Link, ManualClock, MemoryEvents};

use crate::lpa::ChangeError;
use crate::terminal::{CardError, StatusWord, Terminal};
use crate::{Es10, Es10Error, EventSource, Lpa, LpaSettings};

/// A card that checks each command against a script and returns the scripted answer.
struct Script(VecDeque<(String, String)>);

impl Script {
    fn new(conversation: &[(&str, &str)]) -> Self {
        let clean = |text: &str| text.replace(' ', "");
        Self(conversation.iter().map(|(command, answer)| (clean(command), clean(answer))).collect())
    }
}

impl CardInterface for Script {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let (expected, answer) = self.0.pop_front().expect("the script has ended");
        assert_eq!(hex::encode_upper(command), expected);
        hex::decode(answer).map_err(|_| CardInterfaceFault::Broken("scripted failure".into()))
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        let (expected, _) = self.0.pop_front().expect("the script has ended");
        assert_eq!("RESET", expected);
        Ok(Atr::default())
    }
}

const BEGIN: [(&str, &str); 4] = [
    ("80AA000005 A903830107", "9000"),
    ("8010000003 010080", "6E00"),
    ("0070000001", "01 9000"),
    ("01A4040010 A0000005591010FFFFFFFF8900000100", "6103"),
];
const FCI: (&str, &str) = ("01C0000003", "6F0100 9000");

fn es10(conversation: &[(&str, &str)]) -> (Es10<Script>, MemoryEvents) {
    let events = MemoryEvents::default();
    let clock = ManualClock::at(Timestamp(0));
    let script: Vec<_> = BEGIN.into_iter().chain([FCI]).chain(conversation.iter().copied()).collect();
    (Es10::new(Script::new(&script), EventSource::new("LPA", clock, events.clone())), events)
}

#[tokio::test]
async fn an_answer_in_several_parts_is_assembled() {
    let (mut es10, events) = es10(&[
        ("81E2910006 BF3E035C015A", "610A"),
        ("01C000000A", "BF3E125A10890490321234 610B"),
        ("01C000000B", "6C0B"),
        ("01C000000B", "51234512345678901235 00 9000"),
    ]);
    // The answer has one octet too many, which is a finding.
    assert_eq!(es10.get_eid().await.unwrap().to_string(), "89049032123451234512345678901235");
    assert_eq!(es10.traffic().apdus, 9);
    assert_eq!(events.all().len(), 1);
}

#[tokio::test]
async fn a_long_command_is_sent_in_numbered_blocks() {
    let nickname = "n".repeat(300);
    let request = format!("BF2982013C5A0A9800103254769810321490 82012C{}", hex::encode_upper(&nickname));
    let request = request.replace(' ', "");
    let (first, last) = request.split_at(510);
    let (first, last) = (format!("81E21100FF{first}"), format!("81E29101{:02X}{last}", last.len() / 2));
    let (mut es10, _) = es10(&[(&first, "9000"), (&last, "6106"), ("01C0000006", "BF2903 80017F 9000")]);
    let error = es10.set_nickname("89000123456789012341".parse().unwrap(), &nickname).await.unwrap_err();
    assert_eq!(error.code(), Some(127));
}

#[tokio::test]
async fn refusals_and_status_words_are_distinct_errors() {
    let (mut es10, events) = es10(&[
        ("81E291000F BF330C5A0A98001032547698103214", "6106"),
        ("01C0000006", "BF3303 800102 9000"),
        ("81E291000F BF330C5A0A98001032547698103214", "6A80"),
        ("00708001", "9000"),
    ]);
    let iccid = "89000123456789012341".parse().unwrap();
    let refused = es10.delete_profile(iccid).await.unwrap_err();
    assert_eq!(refused.code(), Some(DeleteResult::PROFILE_NOT_IN_DISABLED_STATE.0));
    assert!(refused.to_string().contains("profile-not-in-disabled-state(2)"), "{refused}");
    let Es10Error::Card(error) = es10.delete_profile(iccid).await.unwrap_err() else { panic!() };
    assert_eq!(error.status(), Some(StatusWord::INCORRECT_DATA));
    assert!(!error.outcome_is_unknown());
    let lines: Vec<_> = events.all().iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("LPA -> eUICC ES10c.DeleteProfile"), "{}", lines[0]);
    assert!(lines[0].contains("refused: profile-not-in-disabled-state(2)"), "{}", lines[0]);
    // Each event has its own octets: DELETE and MANAGE CHANNEL, and two status words.
    let second = &events.all()[1];
    assert_eq!((second.bytes_sent, second.bytes_received), (20 + 4, 2 + 2));
}

#[tokio::test]
async fn refresh_causes_a_reset_and_other_proactive_commands_are_declined() {
    let enable = "81E2910014 BF3111A00C5A0A980010325476981032148101FF";
    let (mut es10, _) = es10(&[
        (enable, "6106"),
        ("01C0000006", "BF3103 800100 910B"),
        // First a command that this device does not support: DISPLAY TEXT.
        ("801200000B", "D009 8103012180 82028182 9109"),
        ("801400000C 810301218082028281830130", "910B"),
        ("801200000B", "D009 8103010104 82028182 9000"),
        ("RESET", ""),
        BEGIN[0],
        BEGIN[1],
        BEGIN[2],
        BEGIN[3],
        FCI,
        ("81E2910003 BF2E00", "BF2E128010 000102030405060708090A0B0C0D0E0F 9000"),
    ]);
    es10.enable_profile("89000123456789012341".parse().unwrap(), true).await.unwrap();
    es10.refresh().await.unwrap();
    assert_eq!(es10.get_euicc_challenge().await.unwrap()[15], 0x0F);
}

/// A card is busy while a REFRESH is pending that the device has never fetched.
#[tokio::test]
async fn a_busy_card_is_reset_and_its_second_answer_is_final() {
    let enable = "81E2910014 BF3111A00C5A0A980010325476981032148101FF";
    let list = "81E291001F BF2D1C A00C5A0A98001032547698103214 5C0C5A4F9F7090919295B6B7B899";
    let enabled = "BF2D14 A012 E310 5A0A98001032547698103214 9F700101 9000";
    let begin = || BEGIN.into_iter().chain([FCI]);
    for (second, expected) in
        [("BF3103 800102 9000", None), ("BF3103 800101 9000", Some(EnableResult::ICCID_OR_AID_NOT_FOUND.0))]
    {
        let first = begin().chain([(enable, "BF3103 800105 9000"), ("RESET", "")]);
        let conversation = first.chain(begin()).chain([(enable, second), (list, enabled)]);
        let card = Script::new(&conversation.collect::<Vec<_>>());
        let no_server = |address: &SmdpAddress| -> Result<Link, Fault> { panic!("a link to {address}") };
        let events = EventSource::silent(ManualClock::at(Timestamp(0)));
        let mut lpa = Lpa::new(card, no_server, LpaSettings::default(), events);
        match lpa.enable("89000123456789012341".parse().unwrap()).await {
            Ok(()) => assert_eq!(expected, None),
            Err(ChangeError::Es10(refused)) => assert_eq!(refused.code(), expected),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_broken_connection_is_reported_as_such() {
    let mut terminal = Terminal::new(Script::new(&[("80AA000005 A903830107", "?")]));
    let error = terminal.start().await.unwrap_err();
    assert!(matches!(error, CardError::Interface { .. }) && error.outcome_is_unknown(), "{error}");
}

#[tokio::test]
async fn a_lack_of_free_channels_is_reported() {
    let script = [BEGIN[0], BEGIN[1], ("0070000001", "6A81")];
    let mut es10 = Es10::new(Script::new(&script), EventSource::silent(ManualClock::at(Timestamp(0))));
    let Es10Error::Card(error) = es10.get_eid().await.unwrap_err() else { panic!() };
    assert_eq!(error.status(), Some(StatusWord::FUNCTION_NOT_SUPPORTED));
}

#[tokio::test]
async fn a_refresh_without_reset_is_performed_and_a_command_fetched_by_others_is_not_fetched_again() {
    let mut terminal = Terminal::new(Script::new(&[
        ("80F2000C", "910B"),
        ("801200000B", "D009 8103010101 82028182 9000"),
        ("801400000C 810301010182028281830100", "9000"),
        ("80F2000C", "910B"),
        ("801200000B", "D009 8103012180 82028182 9000"),
    ]));
    terminal.raw(&[0x80, 0xF2, 0x00, 0x0C]).await.unwrap();
    assert!(!terminal.serve_proactive().await.unwrap());
    terminal.raw(&[0x80, 0xF2, 0x00, 0x0C]).await.unwrap();
    terminal.raw(&[0x80, 0x12, 0x00, 0x00, 0x0B]).await.unwrap();
    assert!(!terminal.serve_proactive().await.unwrap());
}

#[tokio::test]
async fn a_card_that_announces_data_and_sends_none_is_an_error() {
    let (mut es10, _) = es10(&[
        ("81E2910006 BF3E035C015A", "6105"),
        ("01C0000005", "BF3E 6105"),
        ("01C0000005", "6105"),
        ("00708001", "9000"),
    ]);
    let error = es10.get_eid().await.unwrap_err().to_string();
    assert!(error.contains("61xx repeatedly without data"), "{error}");
}

/// A card with an answer of so many octets.
struct LongAnswer(usize);

impl CardInterface for LongAnswer {
    async fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let part = vec![0; self.0.min(255)];
        self.0 -= part.len();
        let status = if self.0 == 0 { [0x90, 0x00] } else { [0x61, 0xFF] };
        Ok([part.as_slice(), &status].concat())
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(Atr::default())
    }
}

#[tokio::test]
async fn an_answer_of_more_than_1048576_octets_is_an_error() {
    assert_eq!(Terminal::new(LongAnswer(1 << 20)).status().await, Ok(()));
    let error = Terminal::new(LongAnswer((1 << 20) + 1)).status().await.unwrap_err().to_string();
    assert!(error.contains("more than 1048576 octets"), "{error}");
}

#[tokio::test]
async fn a_memory_reset_sends_its_options_and_reports_the_result() {
    let (mut es10, _) = es10(&[
        ("81E2910007 BF3404820205A0", "6106"),
        ("01C0000006", "BF3403 800101 9000"),
        ("81E2910007 BF340482020640", "6106"),
        ("01C0000006", "BF3403 800100 9000"),
    ]);
    let refused = es10
        .euicc_memory_reset(&[
            reset_options::DELETE_OPERATIONAL_PROFILES,
            reset_options::RESET_DEFAULT_SMDP_ADDRESS,
        ])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(ResetResult::NOTHING_TO_DELETE.0));
    es10.euicc_memory_reset(&[reset_options::DELETE_FIELD_LOADED_TEST_PROFILES]).await.unwrap();
}
