//! Files without a template: the table of identities, EF.URSP, and additional files of a
//! description.

use rsp::der::{Tag, write_tlv};

use super::adf::USIM_FID;
use super::shapes::{ADMINISTRATOR, NEVER_READ, of_size};
use super::{Description, OwnFile, identities};
use crate::element::{Fcp, FileManagement};
use crate::{Fid, Octets, identities::PATH};

/// The commands that create these files; none if there are no such files.
pub(super) fn commands(d: &Description) -> Vec<FileManagement> {
    let mut files: Vec<OwnFile> = Vec::new();
    if let Some(ursp) = &d.five_g.ursp {
        let mut content = Vec::new();
        write_tlv(Tag(0x80), ursp, &mut content);
        let directory = [USIM_FID.0.to_be_bytes(), 0x5FC0u16.to_be_bytes()].concat();
        files.push(OwnFile { rule: Some(2), ..own(directory, Fid(0x4F0B), content) });
    }
    if let Some(identities) = identities::table(d) {
        let [directory, table] = PATH;
        files.push(OwnFile { is_directory: true, rule: Some(14), ..own(vec![], directory, vec![]) });
        let table = own(directory.0.to_be_bytes().to_vec(), table, identities.encode());
        files.push(OwnFile { rule: Some(NEVER_READ), ..table });
    }
    files.extend(d.file.iter().cloned());
    let ursp = d.five_g.ursp.is_some();
    files.iter().enumerate().flat_map(|(number, file)| created(file, ursp && number == 0)).collect()
}

fn own(directory: Vec<u8>, id: Fid, content: Vec<u8>) -> OwnFile {
    OwnFile {
        directory: directory.into(),
        id: id.0.to_be_bytes().into(),
        is_directory: false,
        size: None,
        record_length: None,
        rule: None,
        content: content.into(),
    }
}

/// The PIN status template of a directory below `directory`: PIN1 and ADM1 and, in the USIM only,
/// PIN2.
fn codes(directory: &[u8]) -> Octets {
    match directory.starts_with(&USIM_FID.0.to_be_bytes()) {
        true => [0x01, 0x81, 0x0A].into(),
        false => [0x01, 0x0A].into(),
    }
}

/// The commands that create a file.
fn created(file: &OwnFile, ber_tlv: bool) -> Vec<FileManagement> {
    let size = file.size.map_or(file.content.len().max(1), usize::from);
    let [high, low] = file.record_length.unwrap_or_default().to_be_bytes();
    let descriptor: &[u8] = match file.record_length {
        _ if file.is_directory => &[0x78, 0x21],
        _ if ber_tlv => &[0x79, 0x21],
        Some(_) => &[0x42, 0x21, high, low],
        None => &[0x41, 0x21],
    };
    let fcp = Fcp {
        file_descriptor: Some(descriptor.into()),
        file_id: Some(Fid(file.id.iter().fold(0, |id, octet| id << 8 | u16::from(*octet)))),
        security_attributes_referenced: Some([0x2F, 0x06, file.rule.unwrap_or(ADMINISTRATOR)].into()),
        pin_status_template_do: file.is_directory.then(|| codes(&file.directory)),
        short_ef_id: (!file.is_directory).then(Octets::default),
        ..if file.is_directory { Fcp::default() } else { of_size(size) }
    };
    let mut commands =
        vec![FileManagement::FilePath(file.directory.clone()), FileManagement::CreateFcp(Box::new(fcp))];
    if !file.content.is_empty() {
        commands.push(FileManagement::FillFileContent(file.content.clone()));
    }
    commands
}
