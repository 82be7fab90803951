//! The MNO-SD and the other security domains of a profile. They can be selected, but there is no
//! authentication to them over this interface. GlobalPlatform sections 11.3 and 11.9.

use rsp::der::{Tag, tlv_bytes};

use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;
use crate::state::channel::Selection;

/// GET DATA: the key information template, tag E0. No other data object can be read.
pub(super) fn get_data(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let Selection::SecurityDomain(number) = *context.selection() else {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    };
    let domain = context.profile()?.facts.security_domains.get(number).ok_or(StatusWord::FILE_NOT_FOUND)?;
    match ((command.p1, command.p2), &domain.key_list) {
        ((0x00, 0xE0), Some(keys)) => {
            let mut template = Vec::new();
            for key in keys {
                let mut information = [key.key_identifier.0.as_slice(), &key.key_version_number].concat();
                for component in &key.key_components {
                    information.extend_from_slice(&component.key_type);
                    // This format has lengths of one octet.
                    let length = u8::try_from(component.key_data.expose().len());
                    information.push(length.map_err(|_| StatusWord::REFERENCED_DATA_NOT_FOUND)?);
                }
                template.extend(tlv_bytes(Tag(0xC0), &information));
            }
            Ok(tlv_bytes(Tag(0xE0), &template))
        }
        _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    }
}

/// Refuses commands that require a secure channel, which this interface does not support.
pub(super) fn unauthenticated(_: &mut Context<'_>, _: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED)
}
