//! A modem on its serial port, with a card that contains two profiles, between two networks: AT
//! commands and responses as text.

use std::sync::Arc;

use device::at::{AtModem, Identity, Quirk};
use device::{EventSource, Modem, Slot};
use rsp::der::Asn1;
use rsp::ids::Aid;
use rsp::sgp22::ProfileIdentifier;
use rsp::sgp22::es10c::{EnableProfileRequest, RefreshFlag};

use crate::testbed::{BOOTSTRAP, Interface, LOCAL, Testbed, iccid, plmn};

pub(crate) struct Port(pub(crate) AtModem<Slot<Interface>>);

impl Port {
    /// Creates another modem for the card of the device.
    pub(crate) fn new(testbed: &Testbed, quirks: &[Quirk]) -> Self {
        let events = EventSource::silent(testbed.clock.clone());
        let mut modem = Modem::new(testbed.slot.clone(), Arc::clone(&testbed.networks), events);
        modem.set_visible(vec![plmn("262-42"), plmn("001-01")]);
        Self(AtModem::new(modem, Identity::numbered(1), quirks.to_vec()))
    }

    pub(crate) async fn lines(&mut self, command: &str) -> Vec<String> {
        let answer = self.0.receive(format!("{command}\r").as_bytes()).await;
        lines(answer).into_iter().filter(|line| line != &format!("{command}\r")).collect()
    }

    /// Returns the unsolicited result codes.
    pub(crate) async fn unasked(&mut self) -> Vec<String> {
        let mut reported = lines(self.0.settle().await);
        // Searching is reported before the search.
        if self.0.is_search_due() {
            reported.extend(lines(self.0.settle().await));
        }
        reported
    }

    /// Sends the APDUs with which an LPA enables a profile. REFRESH is pending afterwards.
    async fn enable(&mut self, profile: (&str, &str)) {
        self.expect(&format!("AT+CCHO=\"{}\"", hex::encode_upper(Aid::ISD_R)), &["+CCHO: 1", "OK"]).await;
        let enable = EnableProfileRequest {
            profile_identifier: ProfileIdentifier::Iccid(iccid(profile)),
            refresh_flag: RefreshFlag(true),
        };
        let enable = enable.to_der();
        let length = enable.len();
        let apdu = format!("80E29100{length:02X}{}", hex::encode_upper(&enable));
        let answer = self.lines(&format!("AT+CGLA=1,{},\"{apdu}\"", apdu.len())).await;
        assert_eq!(answer, ["+CGLA: 4,\"6106\"", "OK"]);
        let answer = self.lines("AT+CGLA=1,10,\"80C0000006\"").await;
        // EnableProfileResponse: ok, and REFRESH is pending.
        assert_eq!(answer, ["+CGLA: 16,\"BF3103800100910B\"", "OK"]);
    }

    pub(crate) async fn expect(&mut self, command: &str, expected: &[&str]) {
        assert_eq!(self.lines(command).await, expected, "{command}");
    }

    /// Sends octets that are not a command line. Without echo, returns the answer.
    pub(crate) async fn raw(&mut self, octets: &[u8]) -> Vec<String> {
        lines(self.0.receive(octets).await)
    }

    pub(crate) async fn expect_raw(&mut self, octets: &[u8], expected: &[&str]) {
        assert_eq!(self.raw(octets).await, expected);
    }
}

fn lines(octets: Vec<u8>) -> Vec<String> {
    let text = String::from_utf8(octets).unwrap();
    text.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns a testbed with the bootstrap profile enabled and the local one installed.
async fn with_two() -> Testbed {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.device.lpa.download(&code, Default::default()).await.unwrap();
    testbed
}

#[tokio::test]
async fn the_subscription_is_read_and_registered() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1;+CREG=1;+CEREG=2", &["OK"]).await;
    // The home network is preferred to the network with the stronger signal.
    assert_eq!(
        port.unasked().await,
        ["+CREG: 2", "+CEREG: 2", "+CREG: 1", "+CEREG: 1,\"0001\",\"00000001\",7"]
    );
    port.expect(
        "AT+CPIN?;+CIMI;+CCID;+QCCID",
        &[
            "+CPIN: READY",
            BOOTSTRAP.1,
            &format!("+CCID: {}", BOOTSTRAP.0),
            &format!("+QCCID: {}", BOOTSTRAP.0),
            "OK",
        ],
    )
    .await;
    port.expect("AT+COPS?;+COPS=3,2;+COPS?", &["+COPS: 0,0,\"Home\",7", "+COPS: 0,2,\"00101\",7", "OK"])
        .await;
    port.expect(
        "AT+COPS=?",
        &["+COPS: (1,\"Local\",\"Local\",\"26242\",7),(2,\"Home\",\"Home\",\"00101\",7),,(0-4),(0-2)", "OK"],
    )
    .await;
    port.expect("AT+COPS=3,1;+COPS?;+COPS=3,2", &["+COPS: 0,1,\"Home\",7", "OK"]).await;
    port.expect("AT+CSQ;+CREG?", &["+CSQ: 31,99", "+CREG: 1,1", "OK"]).await;

    port.expect("AT+COPS=1,2,\"26242\"", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 5", "+CEREG: 5,\"0001\",\"00000001\",7"]);
    port.expect("AT+COPS?", &["+COPS: 1,2,\"26242\",7", "OK"]).await;
    port.expect("AT+COPS=1,0,\"Nobody\"", &["+CME ERROR: 30"]).await;
    port.expect("AT+COPS=1,1,\"Nobody\"", &["+CME ERROR: 30"]).await;
    port.expect("AT+COPS=1,1,\"Local\";+COPS?", &["+COPS: 1,1,\"Local\",7", "OK"]).await;
    port.expect("AT+COPS=1,0,\"Local\";+COPS?", &["+COPS: 1,0,\"Local\",7", "OK"]).await;
    port.expect("AT+COPS=2", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 0", "+CEREG: 0"]);
    port.expect("AT+COPS=0", &["OK"]).await;
    assert_eq!(
        port.unasked().await,
        ["+CREG: 2", "+CEREG: 2", "+CREG: 1", "+CEREG: 1,\"0001\",\"00000001\",7"]
    );
    port.expect("AT+CFUN=4;+CFUN?;+COPS?", &["+CFUN: 4", "+COPS: 0", "OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 0", "+CEREG: 0"]);
}

#[tokio::test]
async fn a_refusing_network_is_reported_as_registration_denied() {
    let testbed = Testbed::abroad().await;
    for code in ["001-01", "262-42"] {
        let policy = network::Policy::refusing_everybody(network::EmmCause(15));
        testbed.networks.set_policy(plmn(code), policy);
    }
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=2;+CREG=1", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 3"]);
    port.expect("AT+COPS=1,2,\"00101\"", &["+CME ERROR: network not allowed - emergency calls only"]).await;
    // A modem that was refused does not search again without a command.
    testbed.networks.set_policy(plmn("001-01"), network::Policy::default());
    port.0.search_again();
    assert_eq!(port.unasked().await, [""; 0]);
}

#[tokio::test]
async fn a_profile_enabled_through_the_modem_registers_after_the_refresh() {
    let testbed = with_two().await;
    let mut port = Port::new(&testbed, &[Quirk::TellsSimState]);
    // CFUN=1,1 resets the card, because the device's own LPA has left a channel open.
    port.expect("ATE0+CFUN=1,1;E0+CREG=1", &["OK"]).await;
    port.unasked().await;
    port.enable(LOCAL).await;
    assert_eq!(port.unasked().await, ["+CPIN: NOT READY", "+CREG: 2", "+CPIN: READY", "+CREG: 1"]);
    port.expect("AT+CIMI;+COPS?", &[LOCAL.1, "+COPS: 0,0,\"Local\",7", "OK"]).await;
    // The reset has closed the channel.
    port.expect("AT+CMEE=1;+CGLA=1,10,\"80E2910000\"", &["+CME ERROR: 22"]).await;
}

#[tokio::test]
async fn a_deregistered_modem_stays_deregistered_after_a_card_refresh() {
    let testbed = with_two().await;
    let mut port = Port::new(&testbed, &[Quirk::TellsSimState]);
    port.expect("ATE0+CFUN=1,1;E0+CREG=1", &["OK"]).await;
    port.unasked().await;
    port.expect("AT+COPS=2", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 0"]);
    port.enable(LOCAL).await;
    assert_eq!(port.unasked().await, ["+CPIN: NOT READY", "+CPIN: READY"]);
    port.expect("AT+CFUN=0;+CFUN=1;+CREG?", &["+CREG: 1,0", "OK"]).await;
    assert_eq!(port.unasked().await, [""; 0]);
    port.expect("AT+COPS=0", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 1"]);
    port.expect("AT+CFUN=4", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 0"]);
    port.enable(BOOTSTRAP).await;
    assert_eq!(port.unasked().await, ["+CPIN: NOT READY", "+CPIN: READY"]);
    port.expect("AT+CFUN=1", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 1"]);
}

#[tokio::test]
async fn a_channel_closed_with_csim_has_one_session_when_it_is_reopened() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[Quirk::CountedSessions]);
    port.expect("ATE0+CFUN=1,1;E0+CMEE=1", &["OK"]).await;
    let open = format!("AT+CCHO=\"{}\"", hex::encode_upper(Aid::ISD_R));
    port.expect(&open, &["+CCHO: 1", "OK"]).await;
    port.expect("AT+CSIM=8,\"00708001\"", &["+CSIM: 4,\"9000\"", "OK"]).await;
    port.expect(&open, &["+CCHO: 2", "OK"]).await;
    port.expect("AT+CCHC=1", &["+CME ERROR: 22"]).await;
    port.expect("AT+CCHC=2", &["+CCHC", "OK"]).await;
}

#[tokio::test]
async fn files_are_read_and_written_with_and_without_path() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1", &["OK"]).await;
    // EF.ICCID below the MF, EF.IMSI in the USIM, EF.MSISDN's first record with its path.
    port.expect("AT+CRSM=176,12258,0,0,10", &["+CRSM: 144,0,\"98001032547698103214\"", "OK"]).await;
    port.expect("AT+CRSM=176,28423,0,0,9", &["+CRSM: 144,0,\"080910101032547698\"", "OK"]).await;
    port.expect("AT+CRSM=176,28423,0,0,9,,\"3F007FFF\"", &["+CRSM: 144,0,\"080910101032547698\"", "OK"])
        .await;
    port.expect("AT+CRSM=176,28423,0,0,9,,\"7F10\"", &["+CRSM: 106,130", "OK"]).await;
    let fcp = port.lines("AT+CRSM=192,28423").await;
    assert!(fcp[0].starts_with("+CRSM: 144,0,\"62"), "{fcp:?}");
    let mf = port.lines("AT+CRSM=192,16128").await;
    assert!(mf[0].starts_with("+CRSM: 144,0,\"62") && mf[0].contains("83023F00"), "{mf:?}");
    let status = port.lines("AT+CRSM=242").await;
    assert!(status[0].starts_with("+CRSM: 144,0,\"62"), "{status:?}");
    // EF.FPLMN can be written with the PIN, which is disabled.
    port.expect("AT+CRSM=214,28539,0,0,3,\"62F224\"", &["+CRSM: 144,0", "OK"]).await;
    port.expect("AT+CRSM=176,28539,0,0,3", &["+CRSM: 144,0,\"62F224\"", "OK"]).await;
    // EF.IMSI cannot be written.
    port.expect("AT+CRSM=214,28423,0,0,1,\"08\"", &["+CRSM: 105,130", "OK"]).await;
    let dir = port.lines("AT+CRSM=178,12032,1,4,34").await;
    assert!(dir[0].starts_with("+CRSM: 144,0,\"61144F0CA0000000871002"), "{dir:?}");
    for wrong in ["176", "214,28539,0,0,4,\"62F224\"", "1,28539,0,0,0", "176,70000,0,0,0"] {
        let answer = port.lines(&format!("AT+CRSM={wrong}")).await;
        assert!(answer == ["+CME ERROR: 50"] || answer == ["ERROR"], "{wrong}: {answer:?}");
    }
}

#[tokio::test]
async fn a_pin_is_locked_blocked_and_unblocked() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1;+CREG=1", &["OK"]).await;
    port.unasked().await;
    port.expect("AT+CLCK=\"SC\",2", &["+CLCK: 0", "OK"]).await;
    port.expect("AT+CPIN=\"0000\"", &["+CME ERROR: 3"]).await;
    port.expect("AT+CLCK=\"SC\",1,\"9999\"", &["+CME ERROR: 16"]).await;
    port.expect("AT+CLCK=\"SC\",1,\"0000\"", &["OK"]).await;
    // The PIN is enabled already.
    port.expect("AT+CLCK=\"SC\",1,\"0000\"", &["+CME ERROR: 3"]).await;
    port.expect("AT+CPWD=\"SC\",\"0000\",\"4321\"", &["OK"]).await;
    port.expect("AT+CPWD=\"P2\",\"0000\",\"8765\"", &["+CME ERROR: 16"]).await;
    port.expect("AT+CPWD=\"P2\",\"9999\",\"8765\"", &["OK"]).await;
    port.expect("AT+CLCK=\"SC\",2;+CPIN?", &["+CLCK: 1", "+CPIN: READY", "OK"]).await;

    // The next card session requires the PIN.
    port.expect("AT+CFUN=1,1", &["OK"]).await;
    port.unasked().await;
    port.expect("AT+CMEE=1;+CREG=1;+CPIN?;+CREG?", &["+CPIN: SIM PIN", "+CREG: 1,0", "OK"]).await;
    port.expect("AT+CIMI", &["+CME ERROR: 11"]).await;
    let retries = port.lines("AT+CPINR=\"SIM PIN\";+CPINR").await;
    assert_eq!(retries[..3], ["+CPINR: SIM PIN,3", "+CPINR: SIM PIN,3", "+CPINR: SIM PUK,10"]);
    port.expect("AT+CPIN=\"1111\"", &["+CME ERROR: 16"]).await;
    port.expect("AT+CPIN=12345678,4321", &["+CME ERROR: 3"]).await;
    port.expect("AT+CPIN=4321;+CPIN?;+CIMI", &["+CPIN: READY", BOOTSTRAP.1, "OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 1"]);

    port.expect("AT+CFUN=1,1;+CMEE=1;+CPIN=1111", &["+CME ERROR: 16"]).await;
    port.expect("AT+CPIN=1111", &["+CME ERROR: 16"]).await;
    port.expect("AT+CPIN=1111", &["+CME ERROR: 12"]).await;
    port.expect("AT+CPIN?", &["+CPIN: SIM PUK", "OK"]).await;
    port.expect("AT+CPIN=4321", &["+CME ERROR: 12"]).await;
    port.expect("AT+CPIN=\"00000000\",\"2222\"", &["+CME ERROR: 16"]).await;
    port.expect("AT+CPIN=\"11111111\",\"2222\";+CPIN?", &["+CPIN: READY", "OK"]).await;
    port.expect("AT+CLCK=\"SC\",0,2222;+CLCK=\"SC\",2", &["+CLCK: 0", "OK"]).await;
    port.expect("AT+CLCK=\"AO\",2", &["+CME ERROR: 50"]).await;
}
