//! The commands that a host sends to a modem, except those for the card: short messages, data
//! calls, USSD, and the profiles of the eUICC.

use std::sync::Arc;

use device::Slot;
use device::at::AtModem;
use network::smsc::Account;
use network::{Smsc, SmscSettings};
use world::{
    IncomingDelivery, RamMemory, Receipts, SeededRandom, ShortMessage, ShortMessages, Submission, World,
};

use crate::at::Port;
use crate::testbed::{ADDRESS, BOOTSTRAP, Interface, LOCAL, Testbed, iccid, plmn};

const NUMBER: &str = "+4915100000001";
const SENDER: &str = "1000";

/// Starts an SMSC with one client, and assigns a number to the subscriber of the bootstrap profile.
fn service_centre(testbed: &Testbed) -> Arc<Smsc> {
    let imsi = BOOTSTRAP.1.parse().unwrap();
    let home = testbed.networks.home_of(imsi).unwrap();
    let subscriber = home.subscriber(imsi).unwrap().with_msisdn(NUMBER.parse().unwrap());
    home.provision(imsi, subscriber).unwrap();
    let numbers = vec![SENDER.parse().unwrap()];
    let account = Account { name: "host".into(), password: "secret".to_owned().into(), numbers };
    let settings = SmscSettings::new("+491710000000".parse().unwrap(), vec![account]);
    let world = World::new(testbed.clock.clone(), SeededRandom::from_text("smsc"));
    let smsc = Smsc::open(settings, Arc::clone(&testbed.networks), RamMemory::default(), world).unwrap();
    tokio::spawn(Arc::clone(&smsc).run());
    smsc
}

/// A registered modem without echo.
async fn registered(testbed: &Testbed) -> Port {
    let mut port = Port::new(testbed, &[]);
    port.expect("ATE0+CMEE=1", &["OK"]).await;
    port.unasked().await;
    port
}

/// Submits a message of the client, in the form of SMPP.
async fn submit(smsc: &Arc<Smsc>, data_coding: u8, protocol_identifier: u8, user_data: &[u8]) {
    let message = ShortMessage {
        from: SENDER.parse().unwrap(),
        to: NUMBER.parse().unwrap(),
        protocol_identifier,
        data_coding,
        has_header: false,
        user_data: user_data.to_vec(),
    };
    let submission = Submission { message, validity: None, receipts: Receipts::None };
    smsc.account("host").submit(submission).await.unwrap();
}

/// Returns the unsolicited result codes after the next message from the network.
async fn arrives(port: &mut Port) -> Vec<String> {
    port.0.network_event().await;
    port.unasked().await
}

#[tokio::test]
async fn a_received_message_is_announced_read_and_deleted_in_both_formats() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CNMI=?;+CNMI?", &["+CNMI: (0-2),(0-3),(0-3),(0-2),(0,1)", "+CNMI: 0,0,0,0,0", "OK"])
        .await;
    port.expect("AT+CNMI=2,1,2,1,0", &["OK"]).await;
    submit(&smsc, 0, 0, b"Hello").await;
    assert_eq!(arrives(&mut port).await, ["+CMTI: \"ME\",1"]);
    // SMSC, SMS-DELIVER from 1000, TP-SCTS of the manual clock, five septets.
    let pdu = "0791947101000000\
               040481010000006211128000000005C8329BFD06"
        .replace(' ', "");
    port.expect("AT+CMGR=1", &["+CMGR: 0,,20", &pdu, "OK"]).await;
    port.expect("AT+CMGR=1", &["+CMGR: 1,,20", &pdu, "OK"]).await;
    port.expect("AT+CMGF=1", &["OK"]).await;
    submit(&smsc, 8, 0, &[0x4E, 0x2D]).await;
    assert_eq!(arrives(&mut port).await, ["+CMTI: \"ME\",2"]);
    let first = "\"1000\",,\"26/11/21,08:00:00+00\"";
    port.expect(
        "AT+CMGL=\"ALL\"",
        &[
            &format!("+CMGL: 1,\"REC READ\",{first}"),
            "Hello",
            &format!("+CMGL: 2,\"REC UNREAD\",{first}"),
            "4E2D",
            "OK",
        ],
    )
    .await;
    port.expect(
        "AT+CSDH=1;+CMGR=1",
        &[&format!("+CMGR: \"REC READ\",{first},129,4,0,0,\"+491710000000\",145,5"), "Hello", "OK"],
    )
    .await;
    port.expect("AT+CPMS=\"ME\",\"ME\"", &["+CPMS: 2,100,2,100,2,100", "OK"]).await;
    port.expect("AT+CMGD=1;+CMGD=?", &["+CMGD: (2),(0-4)", "OK"]).await;
    port.expect("AT+CMGR=1", &["+CMS ERROR: 321"]).await;
    // A free place is used again, and a message that is shown at once is not stored.
    submit(&smsc, 0, 0, b"Again").await;
    assert_eq!(arrives(&mut port).await, ["+CMTI: \"ME\",1"]);
    port.expect("AT+CNMI=2,2;+CSDH=0", &["OK"]).await;
    submit(&smsc, 0, 0, b"Now").await;
    assert_eq!(arrives(&mut port).await, [&format!("+CMT: {first}"), "Now"]);
    port.expect("AT+CMGF=0;+CMGD=0,4;+CMGL=4", &["OK"]).await;
    submit(&smsc, 0, 0, b"Now").await;
    let shown = arrives(&mut port).await;
    assert_eq!(shown[0], "+CMT: ,18");
    assert!(shown[1].ends_with("03CEF71D"), "{shown:?}");
}

#[tokio::test]
async fn messages_are_listed_and_deleted_by_their_status_and_shown_by_their_class() {
    const CLASS_1_OCTETS: u8 = 0xF5;
    const CLASS_3_OCTETS: u8 = 0xF7;
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CMGF=1;+CNMI=2,3", &["OK"]).await;
    submit(&smsc, CLASS_3_OCTETS, 0, b"shown").await;
    let header = "\"1000\",,\"26/11/21,08:00:00+00\"";
    assert_eq!(arrives(&mut port).await, [&format!("+CMT: {header}"), "73686F776E"]);
    for text in [b"old", b"new"] {
        submit(&smsc, CLASS_1_OCTETS, 0, text).await;
        arrives(&mut port).await;
    }
    let (old, new) = (format!("+CMGL: 1,\"REC READ\",{header}"), format!("+CMGL: 2,\"REC UNREAD\",{header}"));
    port.lines("AT+CMGR=1").await;
    port.expect("AT+CMGL=\"REC READ\"", &[&old, "6F6C64", "OK"]).await;
    port.expect("AT+CMGL=\"STO SENT\"", &["OK"]).await;
    port.expect("AT+CMGD=1,5", &["+CMS ERROR: 303"]).await;
    port.expect("AT+CMGD=1,1;+CMGL=\"ALL\"", &[&new, "6E6577", "OK"]).await;
    port.expect("AT+CMGD=1,3;+CPMS?", &["+CPMS: \"ME\",0,100,\"ME\",0,100,\"ME\",0,100", "OK"]).await;
    port.expect("AT+CMGF=0;+CMGL=5", &["+CMS ERROR: 304"]).await;
}

#[tokio::test]
async fn a_modem_gets_the_messages_of_its_present_network() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CNMI=2,1", &["OK"]).await;
    tokio::select! {
        biased;
        () = port.0.network_event() => panic!("there is no message"),
        () = std::future::ready(()) => {}
    }
    port.expect("AT+COPS=1,2,\"26242\"", &["OK"]).await;
    submit(&smsc, 0, 0, b"Hello").await;
    assert_eq!(arrives(&mut port).await, ["+CMTI: \"ME\",1"]);
}

#[tokio::test]
async fn the_loss_of_the_network_is_reported_and_another_network_searched() {
    let testbed = Testbed::abroad().await;
    let mut port = registered(&testbed).await;
    port.expect("AT+CREG=1", &["OK"]).await;
    port.expect("ATD*99***1#", &["CONNECT"]).await;
    testbed.networks.set_coverage(plmn("001-01"), false);
    assert_eq!(arrives(&mut port).await, ["NO CARRIER", "+CREG: 2", "+CREG: 5"]);
    // Without any network, the modem searches periodically.
    testbed.networks.set_coverage(plmn("262-42"), false);
    assert_eq!(arrives(&mut port).await, ["+CREG: 2"]);
    testbed.networks.set_coverage(plmn("001-01"), true);
    port.0.search_again();
    assert_eq!(port.unasked().await, ["+CREG: 1"]);
}

#[tokio::test]
async fn a_message_for_the_card_is_not_shown_or_stored() {
    const DATA_DOWNLOAD: u8 = 0x7F;
    const CLASS_2_OCTETS: u8 = 0xF6;
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CNMI=2,1", &["OK"]).await;
    submit(&smsc, CLASS_2_OCTETS, DATA_DOWNLOAD, b"for the card").await;
    assert_eq!(arrives(&mut port).await, [] as [String; 0]);
    port.expect("AT+CPMS?", &["+CPMS: \"ME\",0,100,\"ME\",0,100,\"ME\",0,100", "OK"]).await;
}

#[tokio::test]
async fn a_full_memory_keeps_the_message_in_the_network() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    for number in 0..=100_u8 {
        submit(&smsc, 0, 0, &[b'a', number % 26 + b'a']).await;
        arrives(&mut port).await;
    }
    port.expect("AT+CPMS?", &["+CPMS: \"ME\",100,100,\"ME\",100,100,\"ME\",100,100", "OK"]).await;
    assert_eq!(smsc.waiting(), 1);
}

#[tokio::test]
async fn a_data_call_holds_back_a_limited_number_of_messages() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CNMI=2,2", &["OK"]).await;
    port.expect("ATD*99#", &["CONNECT"]).await;
    for number in 0..=100_u8 {
        submit(&smsc, 0, 0, &[b'a', number % 26 + b'a']).await;
        assert_eq!(arrives(&mut port).await, [] as [String; 0]);
    }
    assert_eq!(smsc.waiting(), 1, "the last message stays in the network");
}

#[tokio::test]
async fn a_message_is_sent_in_both_formats_and_refusals_are_reported() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CMGF=1", &["OK"]).await;
    port.expect("AT+CMGS=\"1000\"", &["> "]).await;
    assert_eq!(port.raw(b"Gr\xC3\xBCx\x08\xC3\x9Fe @\x1A").await, ["+CMGS: 1", "OK"]);
    let client = smsc.account("host");
    let delivery = client.next().await;
    client.taken(&delivery.ticket).unwrap();
    let IncomingDelivery::Message(message) = delivery.arrived else { panic!("{delivery:?}") };
    assert_eq!((message.from.to_string(), message.data_coding), (NUMBER.to_owned(), 0));
    // Characters of the 7-bit alphabet: ü is 7E, ß is 1E and @ is 00.
    assert_eq!(message.user_data, [b'G', b'r', 0x7E, 0x1E, b'e', b' ', 0x00]);

    // To the own number, in PDU mode: the message comes back.
    port.expect("AT+CMGF=0;+CNMI=2,1", &["OK"]).await;
    let pdu = "0011000D91945101000000F10000AA02C834";
    port.expect("AT+CMGS=17", &["> "]).await;
    assert_eq!(port.raw(format!("{pdu}\x1A").as_bytes()).await, ["+CMGS: 2", "OK"]);
    assert_eq!(arrives(&mut port).await, ["+CMTI: \"ME\",1"]);
    port.expect("AT+CMGF=1", &["OK"]).await;
    let read = port.lines("AT+CMGR=1").await;
    assert_eq!(read[1..], ["Hi", "OK"]);

    port.expect("AT+CMGS=\"+49999\"", &["> "]).await;
    assert_eq!(port.raw(b"nobody\x1A").await, ["+CMS ERROR: 1"]);
    port.expect("AT+CMGS=\"1000\"", &["> "]).await;
    assert_eq!(port.raw(b"changed my mind\x1B").await, ["OK"]);
    port.expect("AT+CMGS=\"1000\"", &["> "]).await;
    assert_eq!(port.raw(&[vec![b'x'; 2000], vec![0x1A]].concat()).await, ["+CMS ERROR: 305"]);
    port.expect("AT+CMGS=\"not a number\"", &["+CMS ERROR: 305"]).await;
    // Spaces count, too.
    port.expect("AT+CMGF=0;+CMGS=17", &["> "]).await;
    let padded = format!("{}{pdu}\x1A", " ".repeat(1024));
    assert_eq!(port.raw(padded.as_bytes()).await, ["+CMS ERROR: 304"]);
    port.expect("AT+CMGS=15", &["> "]).await;
    assert_eq!(port.raw(format!("{pdu}\x1A").as_bytes()).await, ["+CMS ERROR: 304"]);
    for malformed in ["zz", "", "05", "0001"] {
        port.expect("AT+CMGS=1", &["> "]).await;
        assert_eq!(port.raw(format!("{malformed}\x1A").as_bytes()).await, ["+CMS ERROR: 304"], "{malformed}");
    }
    port.expect("AT+CFUN=4;+CMGS=17", &["> "]).await;
    assert_eq!(port.raw(format!("{pdu}\x1A").as_bytes()).await, ["+CMS ERROR: 331"]);
    port.expect("AT+CSMS?;+CSMS=0;+CSCA?", &["+CSMS: 0,1,1,0", "+CSMS: 1,1,0", "+CSCA: \"\",129", "OK"])
        .await;
    port.expect("AT+CSCA=\"+491710000000\";+CSCA?", &["+CSCA: \"+491710000000\",145", "OK"]).await;
    port.expect("AT+CPMS=\"SM\"", &["+CMS ERROR: 303"]).await;
    port.expect("AT+CSMS=1", &["+CMS ERROR: 303"]).await;
}

/// TS 27.005 section 3.1, `<data>`: with a TP-DCS of octets or UCS2, the text is in hexadecimal.
#[tokio::test]
async fn the_coding_of_a_sent_text_is_that_of_csmp() {
    let testbed = Testbed::abroad().await;
    let smsc = service_centre(&testbed);
    let mut port = registered(&testbed).await;
    port.expect("AT+CMGF=1;+CSMP=17,,,8;+CSMP?", &["+CSMP: 17,167,0,8", "OK"]).await;
    port.expect("AT+CSMP=1", &["+CMS ERROR: 305"]).await;
    let client = smsc.account("host");
    for (number, (dcs, text, octets)) in
        [(8, "4E2D", &[0x4E, 0x2D][..]), (4, "FF", &[0xFF]), (16, "Hi", b"Hi")].into_iter().enumerate()
    {
        port.expect(&format!("AT+CSMP=17,167,0,{dcs}"), &["OK"]).await;
        port.expect("AT+CMGS=\"1000\"", &["> "]).await;
        let sent = format!("+CMGS: {}", number + 1);
        assert_eq!(port.raw(format!("{text}\x1A").as_bytes()).await, [sent.as_str(), "OK"]);
        let delivery = client.next().await;
        client.taken(&delivery.ticket).unwrap();
        let IncomingDelivery::Message(message) = delivery.arrived else { panic!("{delivery:?}") };
        assert_eq!((message.data_coding, message.user_data.as_slice()), (dcs, octets));
    }
    // The 7-bit alphabet has no such character, and a message has at most 140 octets.
    for (dcs, text) in [(16, "\u{4E2D}".to_owned()), (4, "00".repeat(141)), (4, "no octets".to_owned())] {
        port.expect(&format!("AT+CSMP=17,167,0,{dcs}"), &["OK"]).await;
        port.expect("AT+CMGS=\"1000\"", &["> "]).await;
        assert_eq!(port.raw(format!("{text}\x1A").as_bytes()).await, ["+CMS ERROR: 305"], "{text}");
    }
}

#[tokio::test]
async fn a_data_call_reaches_the_loopback_network_and_ends_with_the_registration() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1;+CGATT?", &["+CGATT: 0", "OK"]).await;
    port.expect("AT+CGACT=1,1", &["+CME ERROR: 30"]).await;
    port.expect("ATD*99#", &["NO CARRIER"]).await;
    port.unasked().await;
    port.expect("AT+CGDCONT=?", &["+CGDCONT: (1-8),\"IP\",,,(0),(0)", "OK"]).await;
    port.expect(
        "AT+CGDCONT=3,\"IP\",\"internet\";+CGDCONT?;+CGATT?",
        &["+CGDCONT: 1,\"IP\",\"\",\"\",0,0", "+CGDCONT: 3,\"IP\",\"internet\",\"\",0,0", "+CGATT: 1", "OK"],
    )
    .await;
    port.expect("AT+CGACT=1,3;+CGACT?", &["+CGACT: 1,0", "+CGACT: 3,1", "OK"]).await;
    port.expect("AT+CGPADDR", &["+CGPADDR: 1", "+CGPADDR: 3,\"10.64.3.2\"", "OK"]).await;
    port.expect("AT+CGDCONT=3", &["+CME ERROR: 3"]).await;
    port.expect("AT+CGDCONT=4,\"IPV6\",\"internet\"", &["+CME ERROR: 128"]).await;
    let (longest, too_long) = ("a".repeat(100), "a".repeat(101));
    let too_long = format!("+CGDCONT=5,\"IP\",\"{too_long}\"");
    for wrong in ["+CGDCONT=9,\"IP\"", "+CGACT=2", "+CGDATA=\"M-HEX\",1", &too_long] {
        port.expect(&format!("AT{wrong}"), &["+CME ERROR: 50"]).await;
    }
    // Without further parameters the context becomes undefined.
    port.expect(&format!("AT+CGDCONT=5,\"IP\",\"{longest}\";+CGDCONT=5"), &["OK"]).await;
    port.expect("AT+CGACT?", &["+CGACT: 1,0", "+CGACT: 3,1", "OK"]).await;
    for (wrong, answer) in [("D*99***7#", "NO CARRIER"), ("D123", "NO CARRIER"), ("O", "ERROR")] {
        port.expect(&format!("AT{wrong}"), &[answer]).await;
    }
    port.expect("AT+CGACT=1,7", &["+CME ERROR: 143"]).await;

    // LCP Configure-Request without options, as pppd sends it.
    let request = hex::decode("7EFF7D23C0217D217D217D207D24D1B57E").unwrap();
    port.expect("ATDT*99***3#", &["CONNECT"]).await;
    let answer = port.0.receive(&request).await;
    assert!(answer.starts_with(&[0x7E, 0xFF, 0x7D, 0x23, 0xC0, 0x21, 0x7D, 0x22]), "{answer:02X?}");
    assert_eq!(port.0.receive(b"AT\r").await, b"", "data, not a command");
    port.expect_raw(b"+++", &["OK"]).await;
    port.expect("AT+CGACT?;O", &["+CGACT: 1,0", "+CGACT: 3,1", "CONNECT"]).await;
    port.expect_raw(b"+++", &["OK"]).await;
    port.expect("ATH", &["OK"]).await;
    port.expect("AT+CGACT?", &["+CGACT: 1,0", "+CGACT: 3,0", "OK"]).await;

    // The program closes the port.
    port.expect("AT+CGDATA=\"PPP\",1", &["CONNECT"]).await;
    port.0.hang_up();
    port.expect("AT+CGACT?", &["+CGACT: 1,0", "+CGACT: 3,0", "OK"]).await;
    // The end of its context ends the call, and the end of another context does not.
    port.expect("ATD*99***1#", &["CONNECT"]).await;
    port.expect_raw(b"+++", &["OK"]).await;
    port.expect("AT+CGACT=0,3", &["OK"]).await;
    assert_eq!(port.unasked().await, [] as [String; 0]);
    port.expect("AT+CGACT=0,1", &["OK"]).await;
    assert_eq!(port.unasked().await, ["NO CARRIER"]);
    // The network is lost: the call ends, and the change is reported after it.
    port.expect("AT+CREG=1", &["OK"]).await;
    port.expect("ATD*99***1#", &["CONNECT"]).await;
    port.expect_raw(b"+++", &["OK"]).await;
    port.expect("AT+CGATT=0", &["OK"]).await;
    assert_eq!(port.unasked().await, ["NO CARRIER", "+CREG: 0"]);
    port.expect("AT+CGATT=1", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 1"]);
    port.expect("AT+CGATT=1", &["OK"]).await;
    assert_eq!(port.unasked().await, [] as [String; 0], "the modem is attached already");
}

#[tokio::test]
async fn a_ussd_request_is_answered_as_not_supported() {
    let testbed = Testbed::abroad().await;
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1;+CUSD=?;+CUSD=1", &["+CUSD: (0-2)", "OK"]).await;
    port.expect("AT+CUSD=1,\"*100#\",15", &["+CME ERROR: 30"]).await;
    port.unasked().await;
    port.expect("AT+CUSD=1,\"*100#\",15", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CUSD: 4"]);
    port.expect("AT+CUSD=2;+CUSD?", &["+CUSD: 1", "OK"]).await;
}

#[tokio::test]
async fn profiles_are_downloaded_enabled_and_deleted_with_the_commands_of_the_euicc() {
    let testbed = Testbed::abroad().await;
    let eid = testbed.eid();
    let code = testbed.order(LOCAL, Some("2468")).await.to_string();
    let mut port = Port::new(&testbed, &[]);
    port.expect("ATE0+CMEE=1;+CREG=1", &["OK"]).await;
    port.expect("AT+CGEUICCID", &["+CME ERROR: 4"]).await;
    let modem: AtModem<Slot<Interface>> = port.0;
    let mut lpa = testbed.device.lpa;
    lpa.set_nickname(iccid(BOOTSTRAP), "The \"first\" one").await.unwrap();
    let mut port = Port(modem.with_lpa(lpa));
    port.unasked().await;
    port.expect("AT+CGEUICCID", &[&format!("+CGEUICCID: \"{eid}\""), "OK"]).await;
    port.expect(&format!("AT+CEUICCPD=\"{code}\""), &["+CME ERROR: 100"]).await;
    let confirmed = format!("AT+CEUICCPD=\"{code}\",\"2468\"");
    port.expect(&confirmed, &[&format!("+CEUICCPD: \"{}\"", LOCAL.0), "OK"]).await;
    port.expect(&format!("AT+CEUICCPMETAI=\"{}\",\"Office\"", LOCAL.0), &["OK"]).await;
    let listed = port.lines("AT+CEUICCPMETAI?").await;
    let first = format!("+CEUICCPMETAI: \"{}\",1,\"The 'first' one\",", BOOTSTRAP.0);
    assert!(listed[0].starts_with(&first), "{listed:?}");
    assert!(listed[1].starts_with(&format!("+CEUICCPMETAI: \"{}\",0,\"Office\",", LOCAL.0)), "{listed:?}");

    port.expect(&format!("AT+CEUICCPM=1,\"{}\"", LOCAL.0), &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 1"]);
    port.expect("AT+CIMI", &[LOCAL.1, "OK"]).await;
    let pending = port.lines("AT+CEUICCPNM?").await;
    assert_eq!(pending.len(), 3, "{pending:?}");
    assert!(pending[0].ends_with(&format!(",2,\"{ADDRESS}\",\"{}\"", BOOTSTRAP.0)), "{pending:?}");
    assert!(pending[1].ends_with(&format!(",1,\"{ADDRESS}\",\"{}\"", LOCAL.0)), "{pending:?}");
    let number = pending[0].strip_prefix("+CEUICCPNM: ").unwrap().split(',').next().unwrap();
    port.expect(&format!("AT+CEUICCPNM=1,{number}"), &["OK"]).await;
    port.expect("AT+CEUICCPNM=0;+CEUICCPNM?", &["OK"]).await;

    port.expect(&format!("AT+CEUICCPM=2,\"{}\"", LOCAL.0), &["+CME ERROR: 3"]).await;
    port.expect(&format!("AT+CEUICCPM=0,\"{}\"", LOCAL.0), &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 0"]);
    port.expect(&format!("AT+CEUICCPM=1,\"{}\"", LOCAL.0), &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 1"]);
    port.expect(&format!("AT+CEUICCPM=2,\"{}\"", BOOTSTRAP.0), &["OK"]).await;
    for operation in [0, 1, 2] {
        let change = format!("AT+CEUICCPM={operation},\"{}\"", BOOTSTRAP.0);
        port.expect(&change, &["+CME ERROR: 22"]).await;
    }
    port.expect("AT+CEUICCSMDPA=\"smdp.example.com\"", &["OK"]).await;
    let addresses = port.lines("AT+CEUICCSMDPA?").await;
    assert!(addresses[0].starts_with("+CEUICCSMDPA: \"smdp.example.com\",\"smds."), "{addresses:?}");
    port.expect("AT+CEUICCMEMRESET", &["OK"]).await;
    assert_eq!(port.unasked().await, ["+CREG: 2", "+CREG: 0"]);
    port.expect("AT+CEUICCPMETAI?", &["OK"]).await;
    for wrong in
        ["+CEUICCPD=\"no code\"", "+CEUICCPM=7,\"89494200000000000012\"", "+CEUICCPM=1,\"x\"", "+CEUICCPNM=1"]
    {
        port.expect(&format!("AT{wrong}"), &["+CME ERROR: 50"]).await;
    }
    port.expect(&format!("AT+CEUICCPD=\"{code}\""), &["+CME ERROR: 100"]).await;
    port.expect("AT+CEUICCX", &["ERROR"]).await;
}
