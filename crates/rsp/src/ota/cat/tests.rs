use super::*;
use crate::ota::octets::Octets;
use crate::ota::sms::Address;

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace(' ', "")).unwrap()
}

fn channel() -> ChannelParameters {
    ChannelParameters {
        bearer: Some(Bearer { kind: 2, parameters: vec![3, 4, 2, 9, 0x1F, 2] }),
        buffer_size: Some(1400),
        access_point: Some(AccessPoint("m2m.example".to_owned())),
        login: Some(TextString("user".to_owned())),
        password: Some(TextString("password".to_owned())),
        transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 443 }),
        destination: Some([192, 0, 2, 1].into()),
    }
}

/// Commands with their encodings. The encodings of REFRESH and of the objects of OPEN CHANNEL also
/// occur in TS 102 223 and pySim.
fn commands() -> Vec<(Command, &'static str)> {
    let minute = TimerValue::of_seconds(3723);
    vec![
        (Command::Refresh(RefreshMode::UiccReset), "D009 8103010104 82028182"),
        (Command::Refresh(RefreshMode::ProfileStateChange), "D009 8103010109 82028182"),
        (Command::MoreTime, "D009 8103010200 82028182"),
        (Command::PollInterval(Duration::Seconds(30)), "D00D 8103010300 82028182 8402011E"),
        (Command::PollingOff, "D009 8103010400 82028182"),
        (
            Command::SetUpEventList(vec![
                Event::LOCATION_STATUS,
                Event::DATA_AVAILABLE,
                Event::CHANNEL_STATUS,
            ]),
            "D00E 8103010500 82028182 99030309 0A",
        ),
        (
            Command::SendShortMessage {
                service_centre: "+4912".parse::<Address>().ok(),
                tpdu: unhex("01000491214300F601AA"),
            },
            "D01A 8103011300 82028183 8603919421 8B0A01000491214300F601AA",
        ),
        (Command::ProvideLocalInformation(LocalInformation::Location), "D009 8103012600 82028182"),
        (Command::ProvideLocalInformation(LocalInformation::Imei), "D009 8103012601 82028182"),
        (
            Command::TimerManagement { timer: 3, action: TimerAction::Start(minute) },
            "D011 8103012700 82028182 A40103 A503102030",
        ),
        (
            Command::TimerManagement { timer: 3, action: TimerAction::Deactivate },
            "D00C 8103012701 82028182 A40103",
        ),
        (
            Command::TimerManagement { timer: 8, action: TimerAction::TimeLeft },
            "D00C 8103012702 82028182 A40108",
        ),
        (
            Command::OpenChannel(OpenChannel {
                immediate: true,
                automatic_reconnection: false,
                parameters: channel(),
            }),
            "D042 8103014001 82028182 B50702030402091F02 B9020578 470C036D326D076578616D706C65 \
             0D050475736572 0D090470617373776F7264 BC030201BB BE0521C0000201",
        ),
        (Command::CloseChannel { channel: 1 }, "D009 8103014100 82028121"),
        (Command::ReceiveData { channel: 1, length: 200 }, "D00C 8103014200 82028121 B701C8"),
        (
            Command::SendData { channel: 2, immediately: true, data: vec![1, 2, 3] },
            "D00E 8103014301 82028122 B603010203",
        ),
        (Command::GetChannelStatus, "D009 8103014400 82028182"),
    ]
}

#[test]
fn every_command_is_encoded_and_decoded() {
    for (command, octets) in commands() {
        let proactive = Proactive { number: 1, command };
        assert_eq!(hex::encode_upper(proactive.to_bytes()), octets.replace(' ', ""));
        let octets = unhex(octets);
        assert_eq!(Proactive::parse(&octets).as_ref(), Ok(&proactive));
        for cut in 0..octets.len() {
            assert!(Proactive::parse(&octets[..cut]).is_err());
        }
    }
}

#[test]
fn long_data_have_a_multi_octet_length() {
    let command = Command::SendData { channel: 1, immediately: true, data: vec![7; 200] };
    let proactive = Proactive { number: 9, command };
    let octets = proactive.to_bytes();
    assert_eq!(octets[..3], [0xD0, 0x81, 9 + 203]);
    assert_eq!(Proactive::parse(&octets), Ok(proactive));
}

#[test]
fn an_unsupported_command_is_refused_in_a_response_with_its_details() {
    // DISPLAY TEXT.
    let octets = unhex("D00F 8103012180 82028182 8D0404616263");
    let error = Proactive::parse(&octets).unwrap_err();
    assert_eq!(error.to_string(), "command details: unsupported proactive command (at octet 4)");
    let refusal = TerminalResponse::refusing(&octets, GeneralResult::TYPE_NOT_UNDERSTOOD).unwrap();
    assert_eq!(refusal.to_bytes(), unhex("8103012180 82028281 830131"));
    assert_eq!(TerminalResponse::refusing(&[0xD0], GeneralResult::TYPE_NOT_UNDERSTOOD), None);
}

#[test]
fn malformed_commands_are_refused() {
    for octets in [
        // Missing device identities, an unsupported device, a command from the terminal.
        "D005 8103010200",
        "D009 8103010200 82028101",
        "D009 8103010200 82028281",
        // Missing channel, missing data.
        "D009 8103014100 82028182",
        "D009 8103014200 82028121",
        // Timers 0 and 9, a value with invalid digits, a duration of zero.
        "D00C 8103012701 82028182 A40100",
        "D00C 8103012701 82028182 A40109",
        "D011 8103012700 82028182 A40103 A50310203A",
        "D00D 8103010300 82028182 84020100",
        // OPEN CHANNEL without buffer size, with another transport protocol, with a truncated
        // address.
        "D00C 8103014001 82028182 B50103",
        "D015 8103014001 82028182 B50103 B9020578 BC03030050",
        "D015 8103014001 82028182 B50103 B9020578 BE0421C00002",
        // Reserved tags, a length that is not the shortest, trailing octets.
        "D00B 8103010200 82028182 0000",
        "D0810C 8103010200 82028182 8503616263",
        "D009 8103010200 82028182 00",
    ] {
        assert!(Proactive::parse(&unhex(octets)).is_err(), "{octets}");
    }
}

#[test]
fn every_response_is_encoded_and_decoded() {
    let command = |command| Proactive { number: 1, command };
    let open = OpenChannel { immediate: true, automatic_reconnection: false, parameters: channel() };
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let dropped = ChannelStatus { channel: 2, state: ChannelState::Dropped };
    let imei = Imei::of_digits("490154203237518").unwrap();
    let location = LocationInformation { plmn: [0x62, 0xF2, 0x10], area_and_cell: vec![0, 1, 0, 2] };
    for (to, response, octets) in [
        (Command::MoreTime, Response::None, "8103010200 82028281 830100"),
        (
            Command::PollInterval(Duration::Seconds(30)),
            Response::PollInterval(Duration::Minutes(1)),
            "8103010300 82028281 830100 84020001",
        ),
        (
            Command::ProvideLocalInformation(LocalInformation::Imei),
            Response::Imei(imei),
            "8103012601 82028281 830100 94084A09512430325781",
        ),
        (
            Command::ProvideLocalInformation(LocalInformation::Location),
            Response::Location(location),
            "8103012600 82028281 830100 930762F21000010002",
        ),
        (
            Command::TimerManagement { timer: 3, action: TimerAction::TimeLeft },
            Response::Timer { timer: 3, left: Some(TimerValue::of_seconds(30)) },
            "8103012702 82028281 830100 A40103 A503000003",
        ),
        (
            Command::OpenChannel(open),
            Response::Channel { status: Some(status), bearer: Bearer::default_bearer(), buffer_size: 1024 },
            "8103014001 82028281 830100 B8028100 B50103 B9020400",
        ),
        (
            Command::ReceiveData { channel: 1, length: 200 },
            Response::Received { data: vec![5, 6], left: 0xFF },
            "8103014200 82028281 830100 B6020506 B701FF",
        ),
        (
            Command::SendData { channel: 1, immediately: false, data: vec![1] },
            Response::Sent { free: 0x20 },
            "8103014300 82028281 830100 B70120",
        ),
        (
            Command::GetChannelStatus,
            Response::ChannelStatuses(vec![status, dropped]),
            "8103014400 82028281 830100 B8028100 B8020205",
        ),
    ] {
        let to = command(to);
        let terminal_response = TerminalResponse::performed(&to, response);
        assert_eq!(hex::encode_upper(terminal_response.to_bytes()), octets.replace(' ', ""));
        let read = TerminalResponse::parse(&unhex(octets)).unwrap();
        assert!(read.answers(&to) && read.result.is_performed());
        assert_eq!(read, terminal_response);
    }
    assert_eq!(imei.digits(), "490154203237518");
}

#[test]
fn a_failed_channel_has_a_cause() {
    let octets = unhex("8103014001 82028281 83023A01 B50103 B9020400");
    let response = TerminalResponse::parse(&octets).unwrap();
    assert_eq!(response.bip_cause(), Some(BipCause::NO_CHANNEL));
    assert!(!response.result.is_performed() && !response.result.is_temporary());
    assert!(matches!(response.response, Response::Channel { status: None, .. }));
    // A terminal that does not set the comprehension bits.
    let response = TerminalResponse::parse(&unhex("0103010400 02028281 030121")).unwrap();
    assert!(response.result.is_temporary() && response.bip_cause().is_none());
    for octets in ["", "8103010400 82028281", "82028281 830100", "8103010400 8300", "81020104 830100"] {
        assert!(TerminalResponse::parse(&unhex(octets)).is_err(), "{octets}");
    }
}

#[test]
fn every_envelope_is_encoded_and_decoded() {
    let status = ChannelStatus { channel: 1, state: ChannelState::Open };
    let location = LocationInformation { plmn: [0x62, 0xF2, 0x10], area_and_cell: vec![0, 1, 0, 2] };
    for (envelope, octets) in [
        (
            Envelope::SmsPpDownload { service_centre: "+4912".parse().ok(), tpdu: vec![0xAA; 4] },
            "D10F 82028381 0603919421 8B04AAAAAAAA",
        ),
        (
            Envelope::EventDownload(EventDownload::LocationStatus {
                status: LocationStatus::Normal,
                location: Some(location),
            }),
            "D613 990103 82028281 9B0100 930762F21000010002",
        ),
        (
            Envelope::EventDownload(EventDownload::LocationStatus {
                status: LocationStatus::None,
                location: None,
            }),
            "D60A 990103 82028281 9B0102",
        ),
        (
            Envelope::EventDownload(EventDownload::DataAvailable { status, length: 0x40 }),
            "D60E 990109 82028281 B8028100 B70140",
        ),
        (
            Envelope::EventDownload(EventDownload::ChannelStatus(ChannelStatus {
                channel: 1,
                state: ChannelState::Dropped,
            })),
            "D60B 99010A 82028281 B8020105",
        ),
        (Envelope::EventDownload(EventDownload::Other(Event(7))), "D607 990107 82028281"),
        (
            Envelope::TimerExpiration { timer: 2, value: TimerValue::of_seconds(86_399) },
            "D70C 82028281 A40102 A503329595",
        ),
    ] {
        assert_eq!(hex::encode_upper(envelope.to_bytes()), octets.replace(' ', ""));
        let octets = unhex(octets);
        assert_eq!(Envelope::parse(&octets), Ok(Some(envelope)));
        for cut in 0..octets.len() {
            assert!(Envelope::parse(&octets[..cut]).is_err());
        }
    }
    // MENU SELECTION.
    assert_eq!(Envelope::parse(&unhex("D307 82020181 900101")), Ok(None));
    for octets in ["3000", "D100", "D600", "D606 82028281 9900", "D707 82028281 A40101"] {
        assert!(Envelope::parse(&unhex(octets)).is_err(), "{octets}");
    }
}

#[test]
fn a_terminal_profile_contains_the_capabilities_of_a_terminal() {
    // Octets and their meaning according to pySim's pySim/cat.py.
    let profile = TerminalProfile(unhex("7fe1e10e000000000000001f43000000ff"));
    for facility in [
        TerminalCapability::PROFILE_DOWNLOAD,
        TerminalCapability::SMS_PP_DOWNLOAD,
        TerminalCapability::TIMER_EXPIRATION,
        TerminalCapability::POLL_INTERVAL,
        TerminalCapability::REFRESH,
        TerminalCapability::SEND_SHORT_MESSAGE,
        TerminalCapability::OPEN_CHANNEL,
        TerminalCapability::GET_CHANNEL_STATUS,
        TerminalCapability::BEARER_PACKET,
        TerminalCapability::TCP_CLIENT,
    ] {
        assert!(profile.can(facility), "{facility:?}");
    }
    for facility in [
        TerminalCapability::MORE_TIME,
        TerminalCapability::SET_UP_EVENT_LIST,
        TerminalCapability::REFRESH_PROFILE_STATE_CHANGE,
    ] {
        assert!(!profile.can(facility), "{facility:?}");
    }
    assert_eq!(profile.channels(), 2);
    let made = TerminalProfile::of(
        &[TerminalCapability::REFRESH, TerminalCapability::REFRESH_PROFILE_STATE_CHANGE],
        7,
    );
    assert_eq!((made.0.len(), made.0[2], made.0[33], made.channels()), (34, 0x80, 0x20, 7));
}

#[test]
fn durations_and_timer_values_are_rounded_and_limited() {
    use std::time::Duration as Time;
    for (time, duration) in [
        (Time::ZERO, Duration::Tenths(1)),
        (Time::from_millis(1501), Duration::Tenths(16)),
        (Time::from_secs(26), Duration::Seconds(26)),
        (Time::from_secs(256), Duration::Minutes(5)),
        (Time::from_secs(100_000), Duration::Minutes(255)),
    ] {
        assert_eq!(Duration::nearest(time), duration);
    }
    assert_eq!(Duration::Minutes(2).as_time(), Time::from_secs(120));
    assert_eq!(TimerValue::of_seconds(u64::MAX).to_bytes(), [0x32, 0x95, 0x95]);
    assert_eq!(TimerValue::of([0x42, 0, 0]), None);
    assert_eq!(Imei::of_digits("49015420323751"), None);
    assert_eq!(Imei::of_digits("4901542032375x8"), None);
}

/// Single objects from pySim's pySim/cat.py.
#[test]
fn objects_of_pysim_decode() {
    let found =
        ChannelParameters::parse(Octets::new(&unhex("b50103 be052101020304 bc03028000 c704036e6161")))
            .unwrap();
    assert_eq!(found.bearer, Some(Bearer::default_bearer()));
    assert_eq!(found.destination, Some([1, 2, 3, 4].into()));
    assert_eq!(found.transport, Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 32768 }));
    assert_eq!(found.access_point, Some(AccessPoint("naa".to_owned())));
    let found = ChannelParameters::parse(Octets::new(&unhex("8d090470617373776f7264"))).unwrap();
    assert_eq!(found.login, Some(TextString("password".to_owned())));
}
