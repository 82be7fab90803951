//! The TS.48 profiles on the card: installed, enabled, read back over APDUs.

use std::path::Path;

use crypto::Curve;
use profile::{FileKind, FileSystem, Package};
use rsp::sgp22::es10c::EnableResult;

use super::bench::Bench;
use super::server::{Goods, Server, outcome};

pub(super) const SELECT_USIM: &str = "00A4040C07 A0000000871002";
pub(super) const VERIFY_ADM1: &str = "0020000A08 3535353535353535";

/// Every file of TS.48 with this ending; none, and a word about it, where the data are not provided.
pub(super) fn ts48(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ts48");
    if !folder.is_dir() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "the TS.48 profiles must be at {}",
            folder.display()
        );
        println!("skipped: no TS.48 profiles at {}", folder.display());
        return Vec::new();
    }
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == ending))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// A card with this profile enabled, after a reset.
pub(super) fn with_enabled(goods: &Goods) -> Bench {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    assert_eq!(outcome(&server.download(&mut bench, goods)), Ok(()));
    assert_eq!(bench.enable(goods.iccid(), false), EnableResult::OK);
    bench.reset();
    bench
}

/// A card with the TS.48 v7 profile, the plainest.
pub(super) fn with_ts48() -> Option<Bench> {
    let (_, package) = ts48("der").into_iter().find(|(name, _)| name == "TS48v7_SAIP2.3_NoBERTLV")?;
    Some(with_enabled(&Goods::of(package)))
}

#[test]
fn what_the_card_reads_is_what_the_value_notation_says() {
    for (name, text) in ts48("txt") {
        let (_, package) = ts48("der").into_iter().find(|(other, _)| *other == name).unwrap();
        let mut bench = with_enabled(&Goods::of(package));
        let text = String::from_utf8(text).unwrap();
        let usim = text.split_once("usim-header").unwrap().1;
        let hex = |text: &str, file: &str, element: &str| {
            let file = text.split_once(&format!("  {file} {{")).unwrap().1;
            let value = file.split_once(&format!("{element} ")).unwrap().1.trim_start_matches(": ");
            value.trim_start_matches('\'').split_once('\'').unwrap().0.to_owned()
        };
        bench.expect("00A4000C02 2FE2", "9000");
        assert_eq!(bench.read("00B000000A"), hex(&text, "ef-iccid", "fillFileContent"), "{name}");
        bench.read(SELECT_USIM);
        bench.expect("00A4000C02 6F07", "9000");
        assert_eq!(bench.read("00B0000009"), hex(usim, "ef-imsi", "fillFileContent"), "{name}");
        bench.expect("00A4000C02 6FAD", "9000");
        assert_eq!(bench.read("00B0000000"), hex(usim, "ef-ad", "fillFileContent"), "{name}");
        bench.expect("00A4000C02 6F46", "9000");
        let spn = hex(usim, "ef-spn", "fillPattern");
        assert_eq!(bench.read("00B0000000"), format!("{spn:F<34}"), "{name}");
    }
}

#[test]
fn every_file_of_every_profile_reads_back_as_its_package_says() {
    for (name, package) in ts48("der") {
        let expected = FileSystem::build(&Package::decode(&package).unwrap()).unwrap();
        let mut bench = with_enabled(&Goods::of(package));
        let mut seen = 0;
        for (index, file) in expected.all() {
            let Some(content) = expected.content(index) else { continue };
            // From the application or from the MF, by path.
            let mut steps: Vec<String> = Vec::new();
            let mut at = index;
            let adf = loop {
                let here = expected.file(at).unwrap();
                match (&here.kind, here.parent) {
                    (FileKind::Adf { aid }, _) => break Some(aid.to_string()),
                    (_, None) => break None,
                    (_, Some(parent)) => {
                        steps.insert(0, here.fid.to_string());
                        at = parent;
                    }
                }
            };
            let path = match adf {
                Some(aid) => {
                    bench.read(&format!("00A4040C{:02X}{aid}", aid.len() / 2));
                    format!("7FFF{}", steps.concat())
                }
                None => steps.concat(),
            };
            for verify in [VERIFY_ADM1, "0020000B08 3636363636363636"] {
                bench.expect(verify, "9000");
            }
            bench.expect(&format!("00A4080C{:02X}{path}", path.len() / 2), "9000");
            let what = format!("{name} {path} {:?}", file.name);
            match file.kind.record_length() {
                _ if matches!(file.kind, FileKind::BerTlv { .. }) => bench.expect("00B0000000", "6981"),
                Some(length) => {
                    for (number, record) in content.chunks(length).enumerate() {
                        let answer = bench.apdu(&format!("00B2{:02X}04{length:02X}", number + 1));
                        assert_eq!(answer, format!("{}9000", hex::encode_upper(record)), "{what}");
                    }
                }
                None => {
                    let mut read = String::new();
                    for offset in (0..content.len()).step_by(0xFF) {
                        let length = 0xFF.min(content.len() - offset);
                        let answer = bench.apdu(&format!("00B0{offset:04X}{length:02X}"));
                        // PIN2 and the like are nobody's to read here.
                        if answer == "6982" {
                            read = hex::encode_upper(content);
                            break;
                        }
                        read.push_str(answer.strip_suffix("9000").expect(&what));
                    }
                    assert_eq!(read, hex::encode_upper(content), "{what}");
                }
            }
            seen += 1;
        }
        assert!(seen > 140, "{name}: {seen} files");
    }
}

#[test]
fn a_write_is_there_after_a_reset() {
    let Some(mut bench) = with_ts48() else { return };
    bench.read(SELECT_USIM);
    bench.expect("00A4000C02 6F7E", "9000");
    bench.expect("00D6000003 112233", "9000");
    bench.reset();
    bench.read(SELECT_USIM);
    bench.expect("00A4000C02 6F7E", "9000");
    assert!(bench.read("00B0000000").starts_with("112233"));
}
