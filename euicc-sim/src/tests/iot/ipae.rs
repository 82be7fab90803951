//! The place of an IPA inside the card: which IPA is active, and its access to the card.

use rsp::der::Asn1;
use rsp::ota::cat::{
    ChannelState, ChannelStatus, Command, Envelope, Event, EventDownload, LocalInformation, LocationStatus,
    Proactive, Response, TerminalCapability, TerminalProfile, TerminalResponse, TimerAction, TimerValue,
};
use rsp::sgp22::EuiccInfo2;
use world::{Batch, Cells, Fault, Memory, RamMemory};

use super::super::testbed::{Testbed, pki};
use super::testbed::make_iot;
use crate::{IotDescription, IpaeDescription, ToolkitEvent};

const IPAD: &str = "80AA000005A903840101";
const NO_IPA: &str = "80AA000002A900";
const ACTIVATE: &str = "BF420480020780";
const GET_INFO2: &str = "80E2910003BF2200";

const FACILITIES: [TerminalCapability; 14] = [
    TerminalCapability::PROFILE_DOWNLOAD,
    TerminalCapability::TIMER_EXPIRATION,
    TerminalCapability::POLL_INTERVAL,
    TerminalCapability::LOCATION_AND_IMEI,
    TerminalCapability::SET_UP_EVENT_LIST,
    TerminalCapability::EVENT_LOCATION_STATUS,
    TerminalCapability::EVENT_DATA_AVAILABLE,
    TerminalCapability::EVENT_CHANNEL_STATUS,
    TerminalCapability::TIMER_MANAGEMENT,
    TerminalCapability::OPEN_CHANNEL,
    TerminalCapability::CLOSE_CHANNEL,
    TerminalCapability::RECEIVE_DATA,
    TerminalCapability::SEND_DATA,
    TerminalCapability::TCP_CLIENT,
];

fn with_ipae(iot: &mut IotDescription) {
    iot.ipae = Some(IpaeDescription::default());
}

fn card() -> Testbed {
    super::testbed::card(with_ipae)
}

fn terminal_profile(testbed: &mut Testbed, facilities: &[TerminalCapability]) {
    let profile = TerminalProfile::of(facilities, 1).0;
    let answer = testbed.apdu(&format!("80100000{:02X}{}", profile.len(), hex::encode(&profile)));
    assert!(answer.starts_with("90") || answer.starts_with("91"), "{answer}");
}

fn events(testbed: &mut Testbed) -> Vec<ToolkitEvent> {
    testbed.card.ipae().unwrap().take_events()
}

/// ipaMode as the IPA of the card reads it.
fn mode_inside(testbed: &mut Testbed) -> Option<i64> {
    let mut port = testbed.card.ipae().unwrap();
    let mut run = |command: &str| port.transmit(&hex::decode(command).unwrap());
    let open = run("0070000001");
    let channel = open[0];
    run(&format!("0{channel}A4040010A0000005591010FFFFFFFF8900000100"));
    let mut answer = run(&GET_INFO2.replacen("80", &format!("8{channel}"), 1));
    let mut data = Vec::new();
    while let [.., 0x61, length] = answer[..] {
        data.extend_from_slice(&answer[..answer.len() - 2]);
        answer = run(&format!("0{channel}C00000{length:02X}"));
    }
    data.extend_from_slice(&answer[..answer.len() - 2]);
    run(&format!("007080{channel:02X}"));
    EuiccInfo2::from_der(&data).unwrap().lpa_mode.map(|mode| mode.0)
}

/// Performs the announced proactive commands, and returns them.
fn perform(testbed: &mut Testbed) -> Vec<Command> {
    let mut commands = Vec::new();
    while testbed.card.status().0 >> 8 == 0x91 {
        let length = testbed.card.status().0 & 0xFF;
        let octets = testbed.read(&format!("80120000{length:02X}"));
        let proactive = Proactive::parse(&hex::decode(octets).unwrap()).unwrap();
        respond(testbed, &TerminalResponse::performed(&proactive, Response::None));
        commands.push(proactive.command);
    }
    commands
}

fn respond(testbed: &mut Testbed, response: &TerminalResponse) {
    let octets = response.to_bytes();
    testbed.read(&format!("80140000{:02X}{}", octets.len(), hex::encode(octets)));
}

fn envelope(testbed: &mut Testbed, envelope: &Envelope) {
    let octets = envelope.to_bytes();
    testbed.expect(&format!("80C20000{:02X}{}", octets.len(), hex::encode(octets)), "9000");
}

// req: SGP.32-3.8.4-Mode
#[test]
fn the_terminal_decides_which_ipa_is_active() {
    let mut testbed = card();
    let refused = || Err("6985".to_owned());
    testbed.expect(NO_IPA, "9000");
    assert_eq!(testbed.es10(&[0xBF, 0x22, 0]), refused());
    assert_eq!(mode_inside(&mut testbed), Some(1));
    testbed.expect(IPAD, "9000");
    let info = EuiccInfo2::from_der(&testbed.es10(&[0xBF, 0x22, 0]).unwrap()).unwrap();
    assert_eq!(info.lpa_mode.map(|mode| mode.0), Some(0));
    terminal_profile(&mut testbed, &FACILITIES);
    assert_eq!((events(&mut testbed), perform(&mut testbed)), (vec![], vec![]));

    // req: SGP.32-3.8.4-IpaeActivation
    assert_eq!(testbed.es10_text("BF420480020700"), "BF4203800100");
    assert_eq!(events(&mut testbed), []);
    assert_eq!(testbed.es10_text(ACTIVATE), "BF4203800100");
    assert_eq!(events(&mut testbed), [ToolkitEvent::Started]);
    assert_eq!(testbed.es10(&[0xBF, 0x22, 0]), refused());
    // Only a reset makes the IPA of the terminal active again.
    testbed.read(IPAD);
    assert_eq!(testbed.es10(&[0xBF, 0x22, 0]), refused());
    testbed.reset();
    testbed.expect(IPAD, "9000");
    assert!(testbed.es10(&[0xBF, 0x22, 0]).is_ok());
}

#[test]
fn select_announces_the_ipa_of_the_card() {
    let mut testbed = card();
    testbed.expect("0070000001", "019000");
    let response = testbed.read("01A4040010A0000005591010FFFFFFFF8900000100");
    assert!(response.ends_with("E10480020780"), "{response}");
}

// req: SGP.32-3.1.1.1-Ipae
#[test]
fn the_card_requests_polling_events_and_location_as_far_as_the_terminal_can() {
    let mut testbed = card();
    terminal_profile(&mut testbed, &FACILITIES);
    assert_eq!(events(&mut testbed), [ToolkitEvent::Started]);
    let commands = perform(&mut testbed);
    let wanted = vec![Event::LOCATION_STATUS, Event::DATA_AVAILABLE, Event::CHANNEL_STATUS];
    assert!(
        matches!(&commands[..], [
            Command::PollInterval(_),
            Command::SetUpEventList(list),
            Command::ProvideLocalInformation(LocalInformation::Location),
        ] if *list == wanted),
        "{commands:?}"
    );
    assert_eq!(events(&mut testbed).len(), 3);
    let port = testbed.card.ipae().unwrap();
    assert!(port.reports_location() && port.supports_channels());

    testbed.reset();
    terminal_profile(&mut testbed, &[TerminalCapability::PROFILE_DOWNLOAD]);
    assert_eq!((events(&mut testbed), perform(&mut testbed)), (vec![ToolkitEvent::Started], vec![]));
    let mut port = testbed.card.ipae().unwrap();
    assert!(!port.reports_location() && !port.supports_channels());
    assert_eq!(port.queue(Command::MoreTime), None);
}

#[test]
fn the_ipa_gets_the_events_and_the_results_of_its_commands() {
    let mut testbed = card();
    terminal_profile(&mut testbed, &FACILITIES);
    perform(&mut testbed);
    events(&mut testbed);
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let available = EventDownload::DataAvailable { status, length: 7 };
    let located = EventDownload::LocationStatus { status: LocationStatus::None, location: None };
    for event in [&available, &located] {
        envelope(&mut testbed, &Envelope::EventDownload(event.clone()));
    }
    envelope(&mut testbed, &Envelope::TimerExpiration { timer: 3, value: TimerValue::of_seconds(1) });
    let expected =
        [ToolkitEvent::Event(available), ToolkitEvent::Event(located), ToolkitEvent::TimerExpired(3)];
    assert_eq!(events(&mut testbed), expected);

    let command =
        Command::TimerManagement { timer: 1, action: TimerAction::Start(TimerValue::of_seconds(9)) };
    let number = testbed.card.ipae().unwrap().queue(command.clone()).unwrap();
    assert_eq!(perform(&mut testbed), std::slice::from_ref(&command));
    let [ToolkitEvent::Response(proactive, Some(response))] = &events(&mut testbed)[..] else { panic!() };
    assert_eq!((proactive.number, &proactive.command), (number, &command));
    assert!(response.result.is_performed());

    let mut port = testbed.card.ipae().unwrap();
    port.queue(command).unwrap();
    port.withdraw();
    assert_eq!(perform(&mut testbed), []);
}

/// A memory whose writes can fail.
#[derive(Clone)]
struct Failing {
    inner: RamMemory,
    fails: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Memory for Failing {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        match self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(Fault::new("cannot write", "worn out", "replace it")),
            false => self.inner.commit(batch),
        }
    }
}

#[test]
fn the_data_of_the_ipa_survive_a_loss_of_power_and_a_failed_write() {
    let memory = Failing { inner: RamMemory::default(), fails: std::sync::Arc::default() };
    let open = || Testbed::with(pki(), |description| make_iot(description, with_ipae), memory.clone());
    let mut testbed = open();
    assert!(testbed.card.ipae().unwrap().memory().is_empty());
    testbed.card.ipae().unwrap().store(vec![1, 2, 3]).unwrap();
    memory.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(testbed.card.ipae().unwrap().store(vec![4]).is_err());
    assert_eq!(testbed.card.ipae().unwrap().memory(), [1, 2, 3]);
    assert_eq!(open().card.ipae().unwrap().memory(), [1, 2, 3]);
}

#[test]
fn a_card_without_ipa_has_no_place_for_one() {
    assert!(super::testbed::card(|_| {}).card.ipae().is_none());
    assert!(Testbed::new().card.ipae().is_none());
}
