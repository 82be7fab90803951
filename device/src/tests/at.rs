//! Tests of the AT command interface. `tests/tests/device/at.rs` of the workspace tests it with a
//! simulated card.

use rsp::time::Timestamp;
use world::{Atr, CardInterface, CardInterfaceFault, ManualClock};

use super::fake_usim::FakeUsim;
use crate::EventSource;
use crate::at::{AtModem, Identity, Quirk};
use crate::modem::Modem;
use network::{
    AttachRequest, AuthenticationResponse, NetworkAnswer, Radio, RadioFault, RadioFuture, SystemInformation,
};

/// A radio interface without networks.
struct NoCoverageRadio;

impl Radio for NoCoverageRadio {
    fn system_information(&self, _: rsp::ids::Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        Box::pin(async { Ok(None) })
    }

    fn attach(&self, plmn: rsp::ids::Plmn, _: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move { Err(RadioFault::NoCoverage(plmn)) })
    }

    fn authenticate(
        &self,
        plmn: rsp::ids::Plmn,
        _: AuthenticationResponse,
    ) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move { Err(RadioFault::NoCoverage(plmn)) })
    }
}

/// A card that supports channels and answers each command with the octets of the command and 9000.
/// The exceptions are INS FF (612C), GET RESPONSE (44 times its class byte and 6101), INS FE (no
/// answer) and INS FD (910B).
#[derive(Default)]
struct EchoCard {
    channels: u8,
}

impl CardInterface for EchoCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        Ok(match command {
            [0x00, 0x70, 0x00, ..] if self.channels == 9 => vec![0x6A, 0x81],
            [0x00, 0x70, 0x00, ..] => {
                self.channels += 1;
                vec![self.channels, 0x90, 0x00]
            }
            [_, 0xA4, 4, 0, 2, 0xDE, 0xAD] => vec![0x6A, 0x82],
            [class, 0xC0, ..] => [&[*class; 44][..], &[0x61, 0x01]].concat(),
            [_, 0xFF, ..] => vec![0x61, 0x2C],
            [_, 0xFD, ..] => vec![0x91, 0x0B],
            [_, 0xFE, ..] => return Err(CardInterfaceFault::Timeout("no answer".into())),
            other => [other, &[0x90, 0x00]].concat(),
        })
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.channels = 0;
        Ok(Atr::default())
    }
}

struct Port<D>(AtModem<D>);

impl<D: CardInterface> Port<D> {
    fn new(card: D, quirks: &[Quirk]) -> Self {
        let modem = Modem::new(card, NoCoverageRadio, EventSource::silent(ManualClock::at(Timestamp(0))));
        Self(AtModem::new(modem, Identity::numbered(7), quirks.to_vec()))
    }

    /// Sends octets and returns the output, with `<` for \r and `|` for \n.
    async fn raw(&mut self, octets: &str) -> String {
        let answer = self.0.receive(octets.as_bytes()).await;
        String::from_utf8(answer).unwrap().replace('\r', "<").replace('\n', "|")
    }

    /// Sends a command and returns the lines of its answer, without the echo.
    async fn lines(&mut self, command: &str) -> Vec<String> {
        let answer = self.0.receive(format!("{command}\r").as_bytes()).await;
        let answer = String::from_utf8(answer).unwrap();
        let answer = answer.strip_prefix(&format!("{command}\r")).unwrap_or(&answer);
        answer.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    async fn expect(&mut self, command: &str, expected: &[&str]) {
        assert_eq!(self.lines(command).await, expected, "{command}");
    }
}

#[tokio::test]
async fn a_line_is_echoed_and_answered_in_the_framing_of_v250() {
    let mut port = Port::new(EchoCard::default(), &[]);
    assert_eq!(port.raw("AT\r").await, "AT<<|OK<|");
    assert_eq!(port.raw("at\r\n").await, "at<<|OK<||");
    assert_eq!(port.raw("AT+CG").await, "AT+CG");
    assert_eq!(port.raw("MI\r").await, "MI<<|Landfall<|<|OK<|");
    assert_eq!(port.raw("ATE0\r").await, "ATE0<<|OK<|");
    assert_eq!(port.raw("AT+CGMX\x08I;+CGSN=1\r").await, "<|Landfall<|<|+CGSN: \"001001000000072\"<|<|OK<|");
    // Lines without the prefix AT are ignored. A/ repeats the last line and needs no line end.
    assert_eq!(port.raw("hello\r\r").await, "");
    assert_eq!(port.raw("A/").await, "<|Landfall<|<|+CGSN: \"001001000000072\"<|<|OK<|");
    assert_eq!(port.raw("ATV0\r").await, "0<");
    assert_eq!(port.raw("AT+CGMM;X9\r").await, "Software modem<|4<");
    assert_eq!(port.raw("ATQ1+CGMM\r").await, "Software modem<|");
    assert_eq!(port.raw("AT+NO\r").await, "");
    assert_eq!(port.raw("ATZ\r").await, "<|OK<|");
    assert_eq!(port.raw("AT\r").await, "AT<<|OK<|");
    assert_eq!(port.raw("ATS3=33S4=45E0\r").await, "ATS3=33S4=45E0<!-OK!-");
    assert_eq!(port.raw("ATS3?S5?!").await, "!-033!-!-008!-!-OK!-");
    assert_eq!(port.raw("AT&F!").await, "<|OK<|");
    assert_eq!(port.raw("ATE0S3=200\r").await, "ATE0S3=200<<|ERROR<|");
    // The greatest value of S5, and of the other registers.
    assert_eq!(port.raw("ATS5=127S7=255\r").await, "<|OK<|");
    assert_eq!(port.raw("ATX9\x7F0\r").await, "<|OK<|");
}

#[tokio::test]
async fn an_overlong_line_is_an_error_and_the_next_line_is_executed() {
    let mut port = Port::new(EchoCard::default(), &[]);
    port.lines("ATE0").await;
    let endless = "A".repeat(super::super::at::MAX_LINE + 2);
    assert_eq!(port.raw(&endless).await, "");
    assert_eq!(port.raw("\rAT\r").await, "<|ERROR<|<|OK<|");
}

// req: TS.27.007-9.1-Cmee
#[tokio::test]
async fn errors_are_reported_according_to_cmee() {
    let mut port = Port::new(EchoCard::default(), &[]);
    port.expect("AT+CCHC=1", &["ERROR"]).await;
    port.expect("AT+CMEE=1;+CCHC=1", &["+CME ERROR: 22"]).await;
    port.expect("AT+CMEE=2;+CCHC=1", &["+CME ERROR: not found"]).await;
    port.expect("AT+CMEE?;+CMEE=?", &["+CMEE: 2", "+CMEE: (0-2)", "OK"]).await;
    port.expect("AT+CMEE=3", &["ERROR"]).await;
    port.expect("AT+NOSUCH", &["ERROR"]).await;
    // The commands after a failed one are not executed.
    port.expect("AT+CCHC=1;+CMEE=0", &["+CME ERROR: not found"]).await;
    port.expect("AT+CMEE?", &["+CMEE: 2", "OK"]).await;
}

#[tokio::test]
async fn apdus_are_sent_on_the_channel_of_their_session() {
    let mut port = Port::new(EchoCard::default(), &[]);
    port.expect("AT+CMEE=1", &["OK"]).await;
    port.expect("AT+CSIM=?;+CCHO=?;+CGLA=?;+CCHC=?;+CRSM=?", &["OK"]).await;
    port.expect("AT+CSIM=10,\"00b000000a\"", &["+CSIM: 14,\"00B000000A9000\"", "OK"]).await;
    port.expect("AT+CSIM=10,00B000000A", &["+CSIM: 14,\"00B000000A9000\"", "OK"]).await;
    for wrong in ["5,\"00B000000A\"", "10,\"00B000000\"", "10,\"00B00000XX\"", "6,\"00B000\"", "10"] {
        port.expect(&format!("AT+CSIM={wrong}"), &["+CME ERROR: 50"]).await;
    }
    port.expect("AT+CSIM=8,\"00FE0000\"", &["+CME ERROR: 13"]).await;

    port.expect("AT+CCHO=\"A000\"", &["+CCHO: 1", "OK"]).await;
    port.expect("AT+CCHO=\"A001\"", &["+CCHO: 2", "OK"]).await;
    port.expect("AT+CCHO=\"DEAD\"", &["+CME ERROR: 22"]).await;
    port.expect("AT+CCHO=\"\"", &["+CME ERROR: 50"]).await;
    for _ in 4..=9 {
        port.lines("AT+CCHO=\"A000\"").await;
    }
    port.expect("AT+CCHO=\"A000\"", &["+CME ERROR: 20"]).await;
    // The modem sets the channel in the class byte.
    for (session, class, sent) in
        [(1, "00", "01"), (2, "80", "82"), (2, "83", "82"), (4, "81", "C0"), (9, "00", "45"), (1, "C5", "81")]
    {
        let command = format!("AT+CGLA={session},10,\"{class}E2910000\"");
        port.expect(&command, &[&format!("+CGLA: 14,\"{sent}E29100009000\""), "OK"]).await;
    }
    port.expect("AT+CGLA=1,8,\"00FF0000\"", &["+CGLA: 4,\"612C\"", "OK"]).await;
    // AUTHENTICATE in the GSM context is reserved for the modem: TS 27.007 section 8.43.
    port.expect("AT+CGLA=1,8,\"00880080\"", &["+CME ERROR: 3"]).await;
    port.expect("AT+CGLA=1,8,\"00880081\"", &["+CGLA: 12,\"018800819000\"", "OK"]).await;
    port.expect("AT+CCHC=1", &["+CCHC", "OK"]).await;
    for closed in ["AT+CCHC=1", "AT+CGLA=1,8,\"00B00000\"", "AT+CGLA=0,8,\"00B00000\""] {
        port.expect(closed, &["+CME ERROR: 22"]).await;
    }
    // Without power the card does not answer, and the sessions are closed.
    port.expect("AT+CFUN=0;+CSIM=8,\"00B00000\"", &["+CME ERROR: 13"]).await;
    port.expect("AT+CFUN=1;+CGLA=2,8,\"00B00000\"", &["+CME ERROR: 22"]).await;
    port.expect("AT+CFUN?;+CFUN=?", &["+CFUN: 1", "+CFUN: (0,1,4),(0,1)", "OK"]).await;
}

#[tokio::test]
async fn each_quirk_has_its_effect() {
    let first = |quirks: &'static [Quirk], command: &'static str| async move {
        let mut port = Port::new(EchoCard::default(), quirks);
        port.lines("AT+CMEE=1;+CCHO=\"DEAD\"").await;
        port.lines(command).await.remove(0)
    };
    let sim = "AT+CSIM=8,\"00B0000A\"";
    for (quirks, command, answer) in [
        (&[][..], "AT+CCHO=\"A000\"", "+CCHO: 2"),
        (&[Quirk::BareSession], "AT+CCHO=\"A000\"", "2"),
        (&[Quirk::CountedSessions], "AT+CCHO=\"A000\"", "+CCHO: 1"),
        (&[Quirk::SessionZero], "AT+CGLA=0,8,\"01B00000\"", "+CGLA: 12,\"00B000009000\""),
        (&[Quirk::UnquotedHex], sim, "+CSIM: 12,00B0000A9000"),
        (&[Quirk::LowercaseHex], sim, "+CSIM: 12,\"00b0000a9000\""),
        (&[Quirk::LengthInOctets], sim, "+CME ERROR: 50"),
        (&[Quirk::LengthInOctets], "AT+CSIM=4,\"00B00000\"", "+CSIM: 6,\"00B000009000\""),
        (&[Quirk::AnyLength], "AT+CSIM=99,\"00B00000\"", "+CSIM: 12,\"00B000009000\""),
        (&[], "AT+CSIM=8,\"00FD0000\"", "+CSIM: 4,\"910B\""),
        (&[Quirk::HidesProactive], "AT+CSIM=8,\"00FD0000\"", "+CSIM: 4,\"9000\""),
        (&[Quirk::PlainErrors], "AT+CCHO=\"DEAD\"", "ERROR"),
        (&[Quirk::SimFailure], "AT+CCHO=\"DEAD\"", "+CME ERROR: 13"),
    ] {
        assert_eq!(first(quirks, command).await, answer, "{quirks:?} {command}");
    }
    // GET RESPONSE is sent on the channel of the command.
    for (command, class) in
        [("AT+CSIM=8,\"00FF0000\"", "00"), ("AT+CSIM=8,\"82FF0000\"", "02"), ("AT+CSIM=8,\"C5FF0000\"", "45")]
    {
        let cut = first(&[Quirk::OwnGetResponse], command).await;
        assert_eq!(cut, format!("+CSIM: 92,\"{}9000\"", class.repeat(44)));
    }
}

#[tokio::test]
async fn a_card_without_a_profile_is_reported_as_not_inserted() {
    let empty = || {
        let mut card = FakeUsim::new("001010123456789");
        card.has_usim = false;
        card
    };
    let mut port = Port::new(empty(), &[]);
    port.expect("AT+CMEE=1;+CPIN?", &["+CME ERROR: 10"]).await;
    port.expect("AT+CIMI", &["+CME ERROR: 10"]).await;
    for (quirk, answer) in [(Quirk::PlainErrors, "ERROR"), (Quirk::SimFailure, "+CME ERROR: 13")] {
        let mut port = Port::new(empty(), &[quirk]);
        port.expect("AT+CMEE=1;+CPIN?", &[answer]).await;
        port.expect("AT+CIMI", &[answer]).await;
        // An error of the modem itself is not affected by the quirk.
        port.expect("AT+CPWD=\"XX\"", &["+CME ERROR: 50"]).await;
    }
    let mut port = Port::new(empty(), &[Quirk::EmptyEuicc]);
    port.expect("AT+CPIN?", &["+CPIN: EMPTY_EUICC", "OK"]).await;
}

#[tokio::test]
async fn without_coverage_the_modem_searches_and_reports_it() {
    let mut port = Port::new(FakeUsim::new("001010123456789"), &[]);
    port.expect("AT+CREG=1;+CGREG=2;+CEREG=1", &["OK"]).await;
    let reported = String::from_utf8(port.0.settle().await).unwrap();
    assert_eq!(reported, "\r\n+CREG: 2\r\n\r\n+CGREG: 2\r\n\r\n+CEREG: 2\r\n");
    assert_eq!(port.0.settle().await, b"");
    port.0.search_again();
    assert_eq!(port.0.settle().await, b"", "nothing has changed");
    port.expect("AT+CREG?;+CGREG?;+CEREG=?", &["+CREG: 1,2", "+CGREG: 2,2", "+CEREG: (0-2)", "OK"]).await;
    port.expect("AT+COPS?;+CSQ", &["+COPS: 0", "+CSQ: 99,99", "OK"]).await;
    port.expect("AT+CMEE=1;+COPS=1,2,\"00101\"", &["+CME ERROR: 30"]).await;
    port.expect("AT+CFUN=4", &["OK"]).await;
    let reported = String::from_utf8(port.0.settle().await).unwrap();
    assert!(reported.contains("+CREG: 0\r\n"), "{reported}");
    port.expect("AT+COPS=?", &["+CME ERROR: 3"]).await;
}

#[tokio::test]
async fn the_modem_identifies_itself_and_accepts_commands_for_calls() {
    let mut port = Port::new(EchoCard::default(), &[]);
    let (version, imei) = (env!("CARGO_PKG_VERSION"), "001001000000072");
    port.expect("ATI", &["Landfall", "Software modem", &format!("Revision: {version}"), "OK"]).await;
    port.expect("AT+CGMR;+GMR", &[version, version, "OK"]).await;
    port.expect("AT+GCAP", &["+GCAP: +CGSM", "OK"]).await;
    port.expect("AT+CGSN;+CGSN=0;+CGSN=1", &[imei, imei, &format!("+CGSN: \"{imei}\""), "OK"]).await;
    port.expect("AT+CGSN=2", &["ERROR"]).await;
    for accepted in ["ATH", "ATX0X4", "AT&C0&C1", "AT&W", "AT&D0&D2"] {
        port.expect(accepted, &["OK"]).await;
    }
    for refused in ["ATH1", "ATX5", "AT&C2", "AT&D3"] {
        port.expect(refused, &["ERROR"]).await;
    }
}

#[tokio::test]
async fn the_card_is_reset_if_it_was_off_or_if_a_reset_is_requested() {
    let mut port = Port::new(EchoCard::default(), &[]);
    let (open, used) = ("AT+CCHO=\"A000\"", "+CGLA: 12,\"01B000009000\"");
    port.expect(open, &["+CCHO: 1", "OK"]).await;
    port.expect("AT+CFUN=4;+CGLA=1,8,\"00B00000\"", &[used, "OK"]).await;
    port.expect("AT+CFUN=1;+CGLA=1,8,\"00B00000\"", &[used, "OK"]).await;
    port.expect("AT+CFUN=1,1;+CGLA=1,8,\"00B00000\"", &["ERROR"]).await;
    // The reset has closed the channel, so it is free again.
    port.expect(open, &["+CCHO: 1", "OK"]).await;
    port.expect("AT+CFUN=0;+CFUN=4;+CCHO=\"A000\"", &["+CCHO: 1", "OK"]).await;
}
