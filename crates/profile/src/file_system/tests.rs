use rsp::der::Unknown;

use super::fcp::default_content;
use super::*;
use crate::element::{PeHeader, ProprietaryInfo};

fn gfm(commands: Vec<FileManagement>) -> ProfileElement {
    ProfileElement::GenericFileManagement(GenericFileManagement {
        header: PeHeader::mandated(7),
        commands: vec![commands],
        unknown: Unknown::default(),
    })
}

fn create(fid: u16, descriptor: &str, change: impl FnOnce(&mut Fcp)) -> FileManagement {
    let mut fcp = Fcp {
        file_id: Some(Fid(fid)),
        file_descriptor: Octets::from_hex(descriptor),
        security_attributes_referenced: Octets::from_hex("01"),
        ..Fcp::default()
    };
    change(&mut fcp);
    FileManagement::CreateFcp(Box::new(fcp))
}

fn built(commands: Vec<FileManagement>) -> Result<ProfileFiles, Refused> {
    let mut all = vec![create(0x3F00, "7821", |_| {})];
    all.extend(commands);
    FileSystem::build(&Package { elements: vec![gfm(all)] })
}

fn size(octets: &str) -> impl FnOnce(&mut Fcp) {
    let octets = Octets::from_hex(octets);
    move |fcp| fcp.ef_file_size = octets
}

#[test]
fn patterns_fill_each_record() {
    assert_eq!(
        default_content("FF...FF0000000001FFFF", 12),
        hex::decode("FFFFFFFF0000000001FFFF")
            .map(|mut v| {
                v.insert(0, 0xFF);
                v
            })
            .unwrap()
    );
    assert_eq!(default_content("07FF...FF", 5), [7, 255, 255, 255, 255]);
    assert_eq!(default_content("FFFFFF0000*", 7), [255, 255, 255, 0, 0, 255, 255]);
    assert_eq!(default_content("00FF...FF", 1), [0]);
    assert_eq!(default_content("0A", 3), [0x0A, 0xFF, 0xFF]);
    let files = built(vec![create(0x2F01, "42210003", |fcp| {
        fcp.ef_file_size = Octets::from_hex("06");
        fcp.proprietary_ef_info =
            Some(ProprietaryInfo { fill_pattern: Octets::from_hex("00FF"), ..ProprietaryInfo::default() });
    })])
    .unwrap();
    let file = files.by_path(&[Fid(0x2F01)]).unwrap();
    assert_eq!(files.content(file).unwrap(), [0, 255, 255, 0, 255, 255]);
    assert_eq!(files.record(file, 2).unwrap(), [0, 255, 255]);
    assert_eq!(files.record(file, 3), None);
}

#[test]
fn a_new_directory_becomes_the_current_one_and_a_path_starts_at_the_mf() {
    let files = built(vec![
        create(0x7F10, "7821", |_| {}),
        create(0x6F01, "4121", size("02")),
        FileManagement::FillFileOffset(1),
        FileManagement::FillFileContent([7].into()),
        FileManagement::FilePath(Octets::default()),
        create(0x2F41, "4121", size("01")),
        FileManagement::FilePath(Octets::from_hex("7F106F01").unwrap()),
        FileManagement::FillFileContent([6].into()),
    ])
    .unwrap();
    let file = files.by_path(&[Fid(0x7F10), Fid(0x6F01)]).unwrap();
    assert_eq!(files.content(file).unwrap(), [6, 7]);
    assert_eq!(files.path_of(file), [Fid::MF, Fid(0x7F10), Fid(0x6F01)]);
    assert_eq!(files.file(file).unwrap().access_rule.unwrap().octets(), [0x6F, 0x06, 1]);
    let top = files.by_path(&[Fid::MF, Fid(0x2F41)]).unwrap();
    assert_eq!(files.file(top).unwrap().access_rule.unwrap().octets(), [0x2F, 0x06, 1]);
    assert_eq!(files.file(top).unwrap().sfi, Some(1), "the five low bits of its identifier");
}

#[test]
fn a_link_shares_the_contents() {
    let mut files = built(vec![
        create(0x2F01, "4121", size("02")),
        create(0x2F02, "4121", |fcp| fcp.link_path = Octets::from_hex("2F01")),
    ])
    .unwrap();
    let [first, second] = [0x2F01, 0x2F02].map(|fid| files.by_path(&[Fid(fid)]).unwrap());
    files.content_mut(second).unwrap()[0] = 9;
    assert_eq!(files.content(first).unwrap(), [9, 0xFF]);
}

#[test]
fn a_file_that_cannot_be_created_is_refused_with_its_status() {
    let cases = [
        (vec![create(0x2F01, "4121", |_| {})], PeStatusCode::BAD_VALUES),
        (vec![create(0x2F01, "42210000", size("02"))], PeStatusCode::BAD_VALUES),
        (vec![create(0x2F01, "42210003", size("04"))], PeStatusCode::BAD_VALUES),
        (vec![create(0x2F01, "4121", size("FFFFFFFF"))], PeStatusCode::NOT_ENOUGH_MEMORY),
        (vec![create(0x2F01, "4121", size("0100000000"))], PeStatusCode::BAD_VALUES),
        (
            vec![create(0x2F01, "4121", size("01")), create(0x2F01, "4121", size("01"))],
            PeStatusCode::FILE_ALREADY_EXISTS,
        ),
        (vec![FileManagement::FilePath([0x7F, 0x10].into())], PeStatusCode::FILE_NOT_FOUND),
        (vec![FileManagement::FilePath([0x7F].into())], PeStatusCode::BAD_VALUES),
        (vec![FileManagement::FillFileContent([1].into())], PeStatusCode::INVALID_REQUEST_FORMAT),
        (
            vec![create(0x2F01, "4121", size("01")), FileManagement::FillFileContent([1, 2].into())],
            PeStatusCode::BAD_VALUES,
        ),
        (
            vec![create(0x2F01, "4121", size("01")), FileManagement::FillFileOffset(-1)],
            PeStatusCode::BAD_VALUES,
        ),
    ];
    for (commands, code) in cases {
        let refused = built(commands.clone()).unwrap_err();
        assert_eq!(refused.code, code, "{commands:?}: {refused}");
        assert_eq!(refused.identification, Some(7));
    }
}
