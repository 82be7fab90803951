//! SELECT and STATUS: TS 102 221 sections 8.4, 11.1.1 and 11.1.2, GlobalPlatform section 11.9.

use profile::{Fid, FileIndex, FileKind, ProfileFiles};
use rsp::der::{Asn1, BitString, Tag, tlv_bytes};
use rsp::ids::Aid;
use rsp::sgp32::es10b::{IsdrProprietaryApplicationTemplateIot, euicc_configuration};

use super::access;
use super::fcp::fcp;
use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;
use crate::kind::CardContext;
use crate::state::channel::{Channel, CurrentEf, Place, Selection};

/// The reserved identifier of the current application.
const CURRENT_ADF: Fid = Fid(0x7FFF);

/// A file and the directory in which it was found. The directory can be a link to the directory
/// that contains the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) directory: FileIndex,
    pub(super) file: FileIndex,
}

/// An application that can be selected by AID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    IsdR,
    Ecasd,
    SecurityDomain(usize),
    Adf(FileIndex),
}

/// SELECT: section 11.1.1.
pub(super) fn select(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    // Bits 8 and 5 are reserved, bits 4 and 3 select the response data, bits 7 and 6 select
    // activation or termination.
    let answers = match command.p2 & 0b1001_1100 {
        0x00 | 0x04 => true,
        0x0C => false,
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    let answer = match command.p1 {
        0x04 => match command.p2 & 0b0110_0000 {
            0x00 => by_aid(context, command.data, command.p2)?,
            0x40 => terminate(context, command.data)?,
            _ => return Err(StatusWord::INCORRECT_P1_P2),
        },
        _ if command.p2 & 0b0110_0011 != 0 => return Err(StatusWord::INCORRECT_P1_P2),
        p1 => {
            let found = match p1 {
                0x00 => by_fid(context, command.data)?,
                0x01 => child_directory(context, command.data)?,
                0x03 => parent(context, command.data)?,
                0x08 => by_path(context, command.data, PathFrom::Mf)?,
                0x09 => by_path(context, command.data, PathFrom::Here)?,
                _ => return Err(StatusWord::INCORRECT_P1_P2),
            };
            enter(context, found)?
        }
    };
    Ok(if answers { answer } else { Vec::new() })
}

/// STATUS: section 11.1.2.
pub(crate) fn status(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.p1 > 2 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let place = context.place()?;
    let files = &context.profile()?.files;
    match command.p2 {
        0x00 => fcp(context.profile()?, place.directory),
        0x01 => match place.adf.and_then(|adf| files.file(adf)).map(|adf| &adf.kind) {
            Some(FileKind::Adf { aid }) => Ok(tlv_bytes(Tag(0x84), aid)),
            _ => Ok(Vec::new()),
        },
        0x0C => Ok(Vec::new()),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Terminates the session of the current application of this channel (section 11.1.1.2, P2). PINs
/// verified for this application alone are cleared, unless the application is active on another
/// channel.
fn terminate(context: &mut Context<'_>, aid: &[u8]) -> Result<Vec<u8>, StatusWord> {
    if !(5..=16).contains(&aid.len()) {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let active = context.place().ok().and_then(|place| place.adf).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let is_named = files(context)?.adfs(aid).any(|(adf, _)| adf == active);
    if !is_named {
        return Err(StatusWord::FILE_NOT_FOUND);
    }
    let answer = fcp(context.profile()?, active)?;
    context.select(Selection::Files(Place::MF));
    let is_active =
        |channel: &Channel| matches!(channel.selection, Selection::Files(place) if place.adf == Some(active));
    if !context.volatile.channels.values().any(is_active) {
        context.volatile.verified.retain(|(owner, _)| *owner != active);
    }
    Ok(answer)
}

fn by_aid(context: &mut CardContext<'_, '_>, aid: &[u8], p2: u8) -> Result<Vec<u8>, StatusWord> {
    if !(5..=16).contains(&aid.len()) {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let candidates = applications(context, aid);
    let current = match context.selection() {
        Selection::IsdR(_) => Some(Application::IsdR),
        Selection::Ecasd => Some(Application::Ecasd),
        Selection::SecurityDomain(number) => Some(Application::SecurityDomain(*number)),
        Selection::Files(Place { adf, .. }) => adf.map(Application::Adf),
        Selection::Nothing => None,
    };
    let at = current.and_then(|current| candidates.iter().position(|candidate| *candidate == current));
    let chosen = match p2 & 0x03 {
        0 => candidates.first(),
        1 => candidates.last(),
        2 => candidates.get(at.map_or(0, |at| at.saturating_add(1))),
        _ => match at {
            Some(at) => at.checked_sub(1).and_then(|before| candidates.get(before)),
            None => candidates.last(),
        },
    };
    match chosen.copied().ok_or(StatusWord::FILE_NOT_FOUND)? {
        Application::IsdR => {
            context.select(Selection::IsdR(None));
            Ok(isd_r(context))
        }
        Application::Ecasd => {
            context.select(Selection::Ecasd);
            Ok(security_domain(&Aid::ECASD, &[], &[]))
        }
        Application::SecurityDomain(number) => {
            let domain = context.profile()?.facts.security_domains.get(number);
            let answer = domain.map(|domain| security_domain(&domain.instance.instance_aid, &[], &[]));
            context.select(Selection::SecurityDomain(number));
            answer.ok_or(StatusWord::FILE_NOT_FOUND)
        }
        Application::Adf(adf) => {
            let answer = fcp(context.profile()?, adf)?;
            context.warning = files(context)?.file(adf).and_then(access::warning);
            context.select(Selection::Files(Place { directory: adf, adf: Some(adf), ef: None }));
            Ok(answer)
        }
    }
}

/// All applications whose AID starts with `aid`, including a partial AID.
fn applications(context: &Context<'_>, aid: &[u8]) -> Vec<Application> {
    let own = [(Aid::ISD_R, Application::IsdR), (Aid::ECASD, Application::Ecasd)];
    let own = own.into_iter().filter(|(own, _)| own.starts_with(aid)).map(|(_, application)| application);
    let Ok(profile) = context.profile() else { return own.collect() };
    let adfs = profile.files.adfs(aid).map(|(index, _)| Application::Adf(index));
    let domains = profile.facts.security_domains.iter().enumerate();
    let domains = domains.filter(|(_, domain)| domain.instance.instance_aid.starts_with(aid));
    let domains = domains.map(|(number, _)| Application::SecurityDomain(number));
    adfs.chain(domains).chain(own).collect()
}

/// FCI of a security domain (GlobalPlatform section 11.9.3.1) with the maximum length of a command
/// data field. `in_a5` and `after_a5` are further data objects.
fn security_domain(aid: &[u8], in_a5: &[u8], after_a5: &[u8]) -> Vec<u8> {
    let proprietary = tlv_bytes(Tag(0xA5), &[&tlv_bytes(Tag(0x9F65), &[0xFF]), in_a5].concat());
    tlv_bytes(Tag(0x6F), &[&tlv_bytes(Tag(0x84), aid), &proprietary, after_a5].concat())
}

/// FCI of the ISD-R with ISDRProprietaryApplicationTemplate (SGP.22 section 5.7.1), and on an IoT
/// card ISDRProprietaryApplicationTemplateIoT (SGP.32 section 3.8.4). The card has no LPAe. An M2M
/// eUICC has no template, because it supports neither LPA nor IPA.
fn isd_r(context: &CardContext<'_, '_>) -> Vec<u8> {
    let CardContext::Consumer(context) = context else {
        return security_domain(&Aid::ISD_R, &[], &[]);
    };
    let template = tlv_bytes(Tag(0xE0), &tlv_bytes(Tag(0x82), &context.description.capabilities.svn.0));
    if !context.is_iot() {
        return security_domain(&Aid::ISD_R, &[], &template);
    }
    let settings = context.description.iot();
    let bits = [
        (euicc_configuration::IPAE_SUPPORTED, settings.ipae.is_some()),
        (euicc_configuration::ENABLED_PROFILE, context.persistent.enabled.is_some()),
    ];
    let bits: Vec<_> = bits.into_iter().filter(|(_, is_set)| *is_set).map(|(bit, _)| bit).collect();
    let iot = IsdrProprietaryApplicationTemplateIot { euicc_configuration: BitString::of(&bits) }.to_der();
    match settings.template_in_a5 {
        true => security_domain(&Aid::ISD_R, &iot, &template),
        false => security_domain(&Aid::ISD_R, &[], &[template, iot].concat()),
    }
}

/// The file with this identifier that is reachable from the current directory.
pub(super) fn by_fid(context: &Context<'_>, data: &[u8]) -> Result<Found, StatusWord> {
    let place = context.place().ok();
    let file = find(files(context)?, place, fid(data)?).ok_or(StatusWord::FILE_NOT_FOUND)?;
    // An EF can be found only in the current directory.
    Ok(Found { directory: place.map_or(file, |place| place.directory), file })
}

fn fid(data: &[u8]) -> Result<Fid, StatusWord> {
    let [high, low] = data else { return Err(StatusWord::WRONG_LENGTH) };
    Ok(Fid(u16::from_be_bytes([*high, *low])))
}

/// A DF in the current directory.
fn child_directory(context: &Context<'_>, data: &[u8]) -> Result<Found, StatusWord> {
    let fid = fid(data)?;
    let directory = context.place().map_err(|_| StatusWord::FILE_NOT_FOUND)?.directory;
    let files = files(context)?;
    let found = child(files, directory, fid).filter(|found| is_directory(files, *found));
    Ok(Found { directory, file: found.ok_or(StatusWord::FILE_NOT_FOUND)? })
}

/// Finds a file by its identifier in the search order of section 8.4.1.
fn find(files: &ProfileFiles, place: Option<Place>, fid: Fid) -> Option<FileIndex> {
    match (fid, place) {
        (Fid::MF, _) => Some(FileIndex::MF),
        (CURRENT_ADF, place) => place?.adf,
        (_, None) => None,
        (_, Some(place)) => {
            let here = files.file(place.directory)?;
            let is_this_or_parent = |index: &FileIndex| {
                files.file(*index).is_some_and(|file| file.fid == fid) && !is_adf(files, *index)
            };
            child(files, place.directory, fid)
                .or_else(|| Some(place.directory).filter(is_this_or_parent))
                .or_else(|| here.parent.filter(is_this_or_parent))
                // An ADF has no siblings, because its position in the tree is undefined.
                .or_else(|| {
                    let above = here.parent.filter(|_| !is_adf(files, place.directory))?;
                    child(files, above, fid).filter(|neighbour| is_directory(files, *neighbour))
                })
        }
    }
}

/// A file in a directory. ADFs are excluded: their identifiers are only meaningful inside the
/// package.
fn child(files: &ProfileFiles, directory: FileIndex, fid: Fid) -> Option<FileIndex> {
    files
        .children(directory)
        .find(|(index, file)| file.fid == fid && !is_adf(files, *index))
        .map(|(index, _)| index)
}

fn is_adf(files: &ProfileFiles, index: FileIndex) -> bool {
    files.file(index).is_some_and(|file| matches!(file.kind, FileKind::Adf { .. }))
}

fn is_directory(files: &ProfileFiles, index: FileIndex) -> bool {
    files.file(index).is_some_and(|file| file.kind.is_directory())
}

fn parent(context: &Context<'_>, data: &[u8]) -> Result<Found, StatusWord> {
    if !data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let place = context.place().map_err(|_| StatusWord::FILE_NOT_FOUND)?;
    let above = files(context)?.file(place.directory).and_then(|file| file.parent);
    let file = above.ok_or(StatusWord::FILE_NOT_FOUND)?;
    Ok(Found { directory: file, file })
}

/// The directory in which a path starts.
#[derive(Clone, Copy)]
pub(super) enum PathFrom {
    Mf,
    /// The current directory.
    Here,
}

/// The file at the end of a path.
pub(super) fn by_path(context: &Context<'_>, data: &[u8], from: PathFrom) -> Result<Found, StatusWord> {
    let path = Fid::path(data).filter(|path| !path.is_empty()).ok_or(StatusWord::WRONG_LENGTH)?;
    let place = context.place().ok();
    let files = files(context)?;
    let start = match from {
        PathFrom::Mf => FileIndex::MF,
        PathFrom::Here => place.ok_or(StatusWord::FILE_NOT_FOUND)?.directory,
    };
    let (start, steps) = match (path.as_slice(), from) {
        ([CURRENT_ADF, rest @ ..], PathFrom::Mf) => {
            (place.and_then(|place| place.adf).ok_or(StatusWord::FILE_NOT_FOUND)?, rest)
        }
        // The identifier of the MF is not part of a path (section 8.4.2).
        (steps, _) => (start, steps),
    };
    let start = Found { directory: start, file: start };
    let step = |at: Found, fid: &Fid| Some(Found { directory: at.file, file: child(files, at.file, *fid)? });
    steps.iter().try_fold(start, step).ok_or(StatusWord::FILE_NOT_FOUND)
}

fn files<'a>(context: &'a Context<'_>) -> Result<&'a ProfileFiles, StatusWord> {
    // No file is found without an enabled profile.
    let files = context.profile().map(|profile| &profile.files).map_err(|_| StatusWord::FILE_NOT_FOUND)?;
    files.file(FileIndex::MF).map(|_| files).ok_or(StatusWord::FILE_NOT_FOUND)
}

/// Makes a file or directory the current one.
fn enter(context: &mut Context<'_>, found: Found) -> Result<Vec<u8>, StatusWord> {
    let adf = context.place().ok().and_then(|place| place.adf);
    let answer = fcp(context.profile()?, found.file)?;
    let file = files(context)?.file(found.file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let place = if file.kind.is_directory() {
        Place { directory: found.file, adf, ef: None }
    } else {
        Place { directory: found.directory, adf, ef: Some(CurrentEf { file: found.file, record: 0 }) }
    };
    context.warning = access::warning(file);
    context.select(Selection::Files(place));
    Ok(answer)
}
