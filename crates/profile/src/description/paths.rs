//! Files of templates, created one by one: PE-GenericFileManagement with all parameters written
//! out.

use rsp::der::Unknown;

use crate::element::{
    Fcp, FileManagement, FileSystemKind, GenericFileManagement, ProfileElement, ProprietaryInfo,
};
use crate::{FileIndex, FileKind, FileSystem, Octets, ProfileFiles};

/// The same PEs, in which PE-GenericFileManagement creates the files of every template except that
/// of the MF.
pub(super) fn of(elements: Vec<ProfileElement>) -> Vec<ProfileElement> {
    let mut system = FileSystem::default();
    let mut written = |element: ProfileElement| {
        let before = system.files().len();
        // An element whose files cannot be created is kept, so that the installation refuses it.
        let done = system.apply(&element);
        let ProfileElement::FileSystem(by_template) = &element else { return element };
        if done.is_err() || by_template.kind == FileSystemKind::Mf {
            return element;
        }
        let new = system.files().all().filter(|(index, _)| index.number() >= before);
        ProfileElement::GenericFileManagement(GenericFileManagement {
            header: by_template.header.clone(),
            commands: vec![new.flat_map(|(index, _)| made(system.files(), index)).collect()],
            unknown: Unknown::default(),
        })
    };
    elements.into_iter().map(&mut written).collect()
}

/// The commands that create a file with its present content.
fn made(files: &ProfileFiles, index: FileIndex) -> Vec<FileManagement> {
    let Some(file) = files.file(index) else { return Vec::new() };
    let directory = file.parent.map(|parent| files.path_of(parent)).unwrap_or_default();
    let path: Vec<u8> = directory.iter().skip(1).flat_map(|fid| fid.0.to_be_bytes()).collect();
    let content = files.content(index).unwrap_or_default();
    let (maximum, size) = match file.kind {
        FileKind::BerTlv { maximum_size, reserved_size } => (maximum_size, reserved_size),
        _ => (0, u32::try_from(content.len()).unwrap_or_default()),
    };
    let is_directory = file.kind.is_directory();
    let information = ProprietaryInfo {
        special_file_information: (file.special_information != 0).then(|| [file.special_information].into()),
        maximum_file_size: (maximum != 0).then(|| number(maximum)),
        ..ProprietaryInfo::default()
    };
    let fcp = Fcp {
        file_descriptor: Some(file.descriptor.clone()),
        file_id: Some(file.fid),
        df_name: match &file.kind {
            FileKind::Adf { aid } => Some(aid.clone()),
            _ => None,
        },
        lcsi: (file.life_cycle != 0x05).then(|| [file.life_cycle].into()),
        security_attributes_referenced: file.access_rule.map(|rule| rule.octets().into()),
        ef_file_size: (!is_directory && size != 0).then(|| number(size)),
        pin_status_template_do: Some(file.pin_status_template.clone())
            .filter(|template| !template.is_empty()),
        short_ef_id: (!is_directory).then(|| file.sfi.map_or(Octets::default(), |sfi| [sfi << 3].into())),
        proprietary_ef_info: Some(information)
            .filter(|information| *information != ProprietaryInfo::default()),
        ..Fcp::default()
    };
    let mut commands = vec![FileManagement::FilePath(path.into()), FileManagement::CreateFcp(Box::new(fcp))];
    let mut at = 0;
    for (start, octets) in pieces(content) {
        if start > at {
            commands.push(FileManagement::FillFileOffset(i64::try_from(start - at).unwrap_or_default()));
        }
        commands.push(FileManagement::FillFileContent(octets.into()));
        at = start + octets.len();
    }
    commands
}

/// A size as bytes without leading zeros.
fn number(size: u32) -> Octets {
    Octets(size.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect())
}

/// The parts of the contents that differ from FF, which fills a new file, with their offsets.
fn pieces(content: &[u8]) -> Vec<(usize, &[u8])> {
    /// The minimum number of FF bytes between two parts. To skip fewer bytes takes more bytes than
    /// to write them.
    const GAP: usize = 6;
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in content.iter().enumerate().filter(|(_, octet)| **octet != 0xFF) {
        match found.last_mut() {
            Some((_, end)) if at < *end + GAP => *end = at + 1,
            _ => found.push((at, at + 1)),
        }
    }
    found.into_iter().filter_map(|(start, end)| Some((start, content.get(start..end)?))).collect()
}
