//! File control parameters: TS 102 221 section 11.1.1.3.

use profile::{FileIndex, FileKind, InstalledProfile, Octets};
use rsp::der::{Tag, tlv_bytes};

use super::pin;
use crate::StatusWord;

/// The FCP template of a file.
pub(super) fn fcp(profile: &InstalledProfile, index: FileIndex) -> Result<Vec<u8>, StatusWord> {
    let file = profile.files.file(index).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let size = profile.files.content(index).map(<[u8]>::len);
    let mut template = Vec::new();
    let mut put = |tag: u32, contents: &[u8]| template.extend(tlv_bytes(Tag(tag), contents));

    put(0x82, &descriptor(&file.kind, &file.descriptor, profile.files.records(index)));
    match &file.kind {
        FileKind::Adf { aid } => put(0x84, aid),
        _ => put(0x83, &file.fid.0.to_be_bytes()),
    }
    put(0xA5, &proprietary(&file.kind, file.special_information));
    put(0x8A, &[file.life_cycle]);
    if let Some(rule) = file.access_rule {
        put(0x8B, &rule.octets());
    }
    if file.kind.is_directory() {
        put(0xC6, &pin_status_template(profile, index, &file.pin_status_template));
    } else {
        put(0x80, &be_octets(u32::try_from(size.unwrap_or(0)).unwrap_or(u32::MAX)));
        // An empty element means that there is no short identifier (section 11.1.1.4.8).
        put(0x88, file.sfi.map(|sfi| sfi << 3).as_slice());
    }
    Ok(tlv_bytes(Tag(0x62), &template))
}

/// File descriptor with the number of records, which is not part of the descriptor in the package.
fn descriptor(kind: &FileKind, own: &Octets, records: Option<usize>) -> Vec<u8> {
    let mut descriptor = own.to_vec();
    if kind.record_length().is_some() {
        descriptor.push(records.and_then(|records| u8::try_from(records).ok()).unwrap_or(u8::MAX));
    }
    descriptor
}

/// Proprietary information (section 11.1.1.4.6). A directory has the UICC characteristics (clock
/// stop allowed, 3 V and 1.8 V). The MF also states that TERMINAL CAPABILITY is supported. An EF
/// has the special file information. A BER-TLV EF also has the DER coding of its objects, its
/// reserved size and its maximum size.
fn proprietary(kind: &FileKind, special_information: u8) -> Vec<u8> {
    const CHARACTERISTICS: [u8; 3] = [0x80, 0x01, 0x71];
    let special = tlv_bytes(Tag(0xC0), &[special_information]);
    match kind {
        FileKind::Mf => [&CHARACTERISTICS[..], &[0x87, 0x01, 0x01]].concat(),
        FileKind::Df | FileKind::Adf { .. } => CHARACTERISTICS.to_vec(),
        FileKind::BerTlv { reserved_size, maximum_size } => {
            let mut information = [special, tlv_bytes(Tag(0x84), &[0x01])].concat();
            information.extend(tlv_bytes(Tag(0x85), &be_octets(*reserved_size)));
            if *maximum_size != 0 {
                information.extend(tlv_bytes(Tag(0x86), &be_octets(*maximum_size)));
            }
            information
        }
        _ => special,
    }
}

/// PIN status template DO: the PINs that apply in a directory and their states (section
/// 11.1.1.4.10).
fn pin_status_template(profile: &InstalledProfile, directory: FileIndex, references: &[u8]) -> Vec<u8> {
    let mut enabled = vec![0; references.len().div_ceil(8).max(1)];
    let mut keys = Vec::new();
    for (position, reference) in references.iter().enumerate() {
        let is_enabled = pin::find(profile, directory, *reference).is_some_and(|(_, pin)| pin.is_enabled());
        if let (true, Some(octet)) = (is_enabled, enabled.get_mut(position / 8)) {
            *octet |= 0x80 >> (position % 8);
        }
        if *reference == pin::UNIVERSAL_PIN {
            // Usage qualifier: 08 if the universal PIN must be verified.
            keys.extend(tlv_bytes(Tag(0x95), &[if is_enabled { 0x08 } else { 0x00 }]));
        }
        keys.extend(tlv_bytes(Tag(0x83), &[*reference]));
    }
    [tlv_bytes(Tag(0x90), &enabled), keys].concat()
}

/// Encodes a number in at least two octets, as terminals expect for a file size.
fn be_octets(number: u32) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let significant = octets.iter().skip_while(|octet| **octet == 0).count().max(2);
    octets.iter().skip(octets.len().saturating_sub(significant)).copied().collect()
}
