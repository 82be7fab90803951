//! ES5.CreateISDP: SGP.02 section 4.1.1.1; INSTALL, GlobalPlatform section 11.5.

use rsp::der::{Elements, Reader, Tag};
use rsp::ids::Aid;
use rsp::ota::octets::Octets;

use super::EMPTY_RESPONSE;
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::state::m2m::IsdP;
use crate::state::m2m::session::IsdRState;

pub(super) const INSTALL: u8 = 0xE6;

/// Executable load file and module of ISD-Ps: SGP.02 section 2.2.3.
const LOAD_FILE: [u8; 16] = [0xA0, 0, 0, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0, 0, 0x0D, 0];
const MODULE: [u8; 16] = [0xA0, 0, 0, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0, 0, 0x0E, 0];

/// The lowest number of an ISD-P. Lower numbers are reserved.
const FIRST_ISD_P: u16 = 0x10;

/// Maximum number of ISD-Ps, regardless of their granted memory.
pub(super) const MAX_ISD_PS: usize = 128;

/// Security domain, in the first octet of the privileges.
const SECURITY_DOMAIN: u8 = 0x80;

const SECURITY_PARAMETERS: Tag = Tag(0xC9);

/// C9: SCP03 with i = 70, the only option of SGP.02.
const SCP03: [u8; 4] = [0x81, 0x02, 0x03, 0x70];

/// Tags of the system specific parameters and of the granted memory in them. They were observed
/// with two servers and are not taken from the standard.
const SYSTEM_PARAMETERS: Tag = Tag(0xEF);
const GRANTED_MEMORY: Tag = Tag(0x83);

/// INSTALL for install and make selectable.
pub(super) fn create_isd_p(context: &mut M2mContext<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let [load_file, module, aid, privileges, parameters, token] =
        fields(data).ok_or(StatusWord::INCORRECT_DATA)?;
    let parameters = Parameters::read(parameters).ok_or(StatusWord::INCORRECT_DATA)?;
    let is_domain = matches!(privileges, [first] | [first, _, _] if first & SECURITY_DOMAIN != 0);
    // req: SGP.02-4.1.1.1-Fields
    if !is_domain || !token.is_empty() || !is_isd_p(aid) {
        return Err(StatusWord::INCORRECT_DATA);
    }
    // req: SGP.02-4.1.1.1-LoadFile
    if load_file != LOAD_FILE || module != MODULE {
        return Err(StatusWord::REFERENCED_DATA_NOT_FOUND);
    }
    let aid = Aid(aid.to_vec());
    let state = &context.state;
    // req: SGP.02-4.1.1.1-AidInUse
    if state.isd_p(&aid).is_some() {
        return Err(StatusWord::INCORRECT_DATA);
    }
    let free = context.free_memory();
    // req: SGP.02-4.1.1.1-Memory
    if state.isd_ps.len() >= MAX_ISD_PS
        || free == 0
        || parameters.granted.is_some_and(|granted| granted > free)
    {
        return Err(StatusWord::NOT_ENOUGH_MEMORY);
    }
    context.state.to_mut().isd_ps.push(IsdP::new(aid, parameters.granted));
    Ok(EMPTY_RESPONSE.to_vec())
}

/// INSTALL for personalization: the STORE DATA commands that follow apply to the ISD-P.
pub(super) fn for_personalization(
    context: &M2mContext<'_>,
    session_state: &mut IsdRState,
    data: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    *session_state = IsdRState::default();
    let [_, _, aid, _, _, _] = fields(data).ok_or(StatusWord::INCORRECT_DATA)?;
    let aid = Aid(aid.to_vec());
    if context.state.isd_p(&aid).is_none() {
        return Err(StatusWord::REFERENCED_DATA_NOT_FOUND);
    }
    session_state.personalises = Some(aid);
    Ok(EMPTY_RESPONSE.to_vec())
}

/// Parses six length-prefixed fields.
fn fields(data: &[u8]) -> Option<[&[u8]; 6]> {
    let mut reader = Octets::new(data);
    let mut fields: [&[u8]; 6] = [&[]; 6];
    for field in &mut fields {
        *field = reader.field().ok()?.rest();
    }
    reader.report_trailing();
    Some(fields)
}

/// `A0000005591010FFFFFFFF89 tttttt 00`.
fn is_isd_p(aid: &[u8]) -> bool {
    match aid {
        [.., 0, high, low, 0] => {
            let number = u16::from_be_bytes([*high, *low]);
            number >= FIRST_ISD_P && Aid::isd_p(number).0 == aid
        }
        _ => false,
    }
}

/// The install parameters.
struct Parameters {
    granted: Option<u32>,
}

impl Parameters {
    fn read(parameters: &[u8]) -> Option<Self> {
        let mut elements = Elements::of("install parameters", Reader::new(parameters)).ok()?;
        let security = elements.take(&[SECURITY_PARAMETERS]).ok()?;
        if security.is_some_and(|security| !security.is_empty() && security.rest() != SCP03) {
            return None;
        }
        let mut granted = None;
        if let Some(system) = elements.take(&[SYSTEM_PARAMETERS]).ok()? {
            let mut system = Elements::of("system parameters", system).ok()?;
            if let Some(memory) = system.take(&[GRANTED_MEMORY]).ok()? {
                // Zero means that no memory is reserved.
                granted = Some(number(memory.rest())?).filter(|granted| *granted > 0);
            }
            system.finish();
        }
        elements.finish();
        Some(Self { granted })
    }
}

fn number(octets: &[u8]) -> Option<u32> {
    let is_number = (1..=4).contains(&octets.len());
    is_number.then(|| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}
