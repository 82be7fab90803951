//! The trace of a download, an enabled profile and a registration, in its three formats.

use serde_json::Value;
use trace::{Event, Exchange, Form, Recorder, read_line};

use crate::testbed::{LOCAL, Testbed};

/// Lets a device abroad download and enable the local profile, and register with it.
async fn exchanges() -> Vec<Exchange> {
    let mut testbed = Testbed::abroad().await;
    let code = testbed.order(LOCAL, None).await;
    testbed.device.move_to(&code, Default::default(), None).await;
    let exchanges = testbed.exchanges.lock().unwrap().clone();
    assert!(exchanges.len() > 100, "{} exchanges", exchanges.len());
    exchanges
}

fn recorded(exchanges: &[Exchange], form: Form, with_secrets: bool) -> Vec<u8> {
    let mut recorder = Recorder::new(form, with_secrets);
    exchanges.iter().flat_map(|exchange| recorder.record(exchange)).collect()
}

#[tokio::test]
async fn the_text_format_contains_functions_files_and_status_words() {
    let exchanges = exchanges().await;
    let text = String::from_utf8(recorded(&exchanges, Form::Text, false)).unwrap();
    for expected in [
        "] SELECT by name A0000005591010FFFFFFFF8900000100: ISD-R -> 61",
        "STORE DATA ES10b.GetEUICCChallenge, last block 0 -> 6115 ok, 21 octets available",
        "    response\n      euiccChallenge: ",
        "STORE DATA ES10b.AuthenticateServer, block 0 -> 9000 ok",
        "    request\n      serverSigned1\n        transactionId: ",
        "        serverAddress: smdpp.landfall.example",
        "      serverCertificate: certificate of ",
        "      authenticateResponseOk\n        euiccSigned1\n",
        "STORE DATA ES10b.PrepareDownload, last block ",
        "STORE DATA ES10b.LoadBoundProfilePackage, initialiseSecureChannelRequest, last block ",
        "      remoteOpId: 1\n",
        "STORE DATA ES10b.LoadBoundProfilePackage, firstSequenceOf87 (ConfigureISDP), last block 0 -> 9000",
        "STORE DATA ES10b.LoadBoundProfilePackage, segment 86 (profile elements), last block ",
        "      profileInstallationResultData\n",
        "STORE DATA ES10c.EnableProfile, last block 0 -> ",
        "      enableResult: ok(0)\n",
        "GET RESPONSE to ES10c.EnableProfile -> 91",
        "FETCH -> 9000 ok\n",
        "    REFRESH, UICC reset\n",
        " reset\n",
        ": ADF.USIM -> 9000",
        "SELECT by identifier 6F07: EF.IMSI -> 9000",
        "READ BINARY EF.IMSI, offset 0 -> 9000 ok",
        "AUTHENTICATE 3G context -> 9000 ok\n",
        "    AUTN: ",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing:\n{text}");
    }
    assert!(!text.contains("unknown command") && !text.contains("unknown status"), "{text}");
    // RES, CK and IK are for the terminal only.
    let with_secrets = String::from_utf8(recorded(&exchanges, Form::Text, true)).unwrap();
    assert!(text.contains("octets, hidden") && text.contains("< ****"));
    assert!(!with_secrets.contains("octets, hidden") && !with_secrets.contains("**"));
}

#[tokio::test]
async fn json_lines_can_be_read_back_without_loss() {
    let exchanges = exchanges().await;
    let lines = String::from_utf8(recorded(&exchanges, Form::JsonLines, true)).unwrap();
    let read: Vec<Exchange> = lines.lines().map(|line| read_line(line, true).unwrap()).collect();
    assert_eq!(read, exchanges);

    let lines = String::from_utf8(recorded(&exchanges, Form::JsonLines, false)).unwrap();
    let read: Vec<Exchange> = lines.lines().map(|line| read_line(line, false).unwrap()).collect();
    assert_eq!(recorded(&read, Form::JsonLines, false), lines.as_bytes(), "what is hidden stays hidden");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let enabled = lines
        .iter()
        .find(|line| line["what"].as_str().is_some_and(|what| what.starts_with("ES10c.EnableProfile")))
        .unwrap();
    assert_eq!(enabled["event"], "command");
    assert_eq!(enabled["name"], "STORE DATA");
    assert_eq!(enabled["details"]["request"]["refreshFlag"], "true");
    assert!(enabled["command"].as_str().unwrap().contains("BF31"), "{enabled}");
    let atr = lines.iter().find(|line| line["event"] == "reset").unwrap();
    assert!(atr["atr"].as_str().unwrap().starts_with("3B"), "{atr}");
}

/// Returns the GSMTAP packets in a pcapng file: sub-type, payload and comment.
fn packets(file: &[u8]) -> Vec<(u8, Vec<u8>, String)> {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut packets = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let (kind, length) = (number(at), number(at + 4) as usize);
        assert_eq!(number(at + length - 4) as usize, length, "a block contains its length at both ends");
        assert_eq!(kind == 0x0A0D_0D0A, at == 0, "one section, which comes first");
        if kind == 6 {
            let captured = number(at + 20) as usize;
            let packet = &file[at + 28..at + 28 + captured];
            assert_eq!(packet[0], 0x45);
            let sum: u32 =
                packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF, "the checksum of the IPv4 header");
            assert_eq!(packet[20..24], [0x12, 0x79, 0x12, 0x79], "port 4729");
            assert_eq!(packet[28..31], [2, 4, 4], "GSMTAP version 2, four words, SIM");
            let options = at + 28 + captured.next_multiple_of(4);
            let comment = match options < at + length - 4 {
                true => {
                    let size =
                        usize::from(u16::from_le_bytes(file[options + 2..options + 4].try_into().unwrap()));
                    assert_eq!(file[options..options + 2], [1, 0], "opt_comment");
                    String::from_utf8(file[options + 4..options + 4 + size].to_vec()).unwrap()
                }
                false => String::new(),
            };
            packets.push((packet[40], packet[44..].to_vec(), comment));
        }
        at += length;
    }
    packets
}

#[tokio::test]
async fn a_pcapng_file_contains_every_exchange_in_the_form_for_wireshark() {
    let exchanges = exchanges().await;
    let file = recorded(&exchanges, Form::Pcapng, true);
    let packets = packets(&file);
    let mut rest = packets.iter();
    for exchange in &exchanges {
        let (sub_type, payload, comment) = rest.next().unwrap();
        match &exchange.event {
            Event::Reset { atr } => assert_eq!((*sub_type, payload), (1, atr)),
            Event::Command { command, answer } => {
                assert_eq!(*sub_type, 0);
                assert_eq!(payload[..4], command[..4]);
                assert!(!comment.is_empty());
                let mut end = payload;
                // Data in both directions requires a GET RESPONSE, as with T=0.
                if payload[payload.len() - 2] == 0x61 && !answer.ends_with(&payload[payload.len() - 2..]) {
                    end = &rest.next().unwrap().1;
                    assert_eq!(end[1], 0xC0);
                }
                assert!(end.ends_with(answer), "{command:02X?} {answer:02X?} {end:02X?}");
            }
            Event::Fault { .. } => panic!("{exchange:?}"),
        }
    }
    assert_eq!(rest.next(), None);
}

#[tokio::test]
#[cfg_attr(not(has_tshark), ignore = "needs tshark")]
async fn tshark_dissects_the_pcapng_file() {
    let file = recorded(&exchanges().await, Form::Pcapng, true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.pcapng");
    std::fs::write(&path, file).unwrap();
    let output = std::process::Command::new("tshark").arg("-r").arg(&path).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!shown.contains("Malformed"), "{shown}");
    for expected in [
        "SELECT File EF.IMSI",
        "READ BINARY Offset=0",
        "FETCH Proactive Command REFRESH",
        "AUTHENTICATE",
        "Response ready",
    ] {
        assert!(shown.contains(expected), "{expected} is missing:\n{shown}");
    }
}
