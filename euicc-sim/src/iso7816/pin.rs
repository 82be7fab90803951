//! VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN: TS 102 221 sections 9.5 and 11.1.9 to 11.1.13.
//!
//! An attempt is counted in non-volatile memory before the response is sent, so a power cut does
//! not permit an additional attempt.

use profile::element::{PinKeyReference, PukKeyReference};
use profile::facts::{Pin, PinCodesOf, Puk};
use profile::{FileIndex, InstalledProfile};

use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;

/// Bits of pinAttributes: TCA profile package section 8.5. In TS.48 profiles, the administrative
/// codes have the first two of these bits set, and the PIN has the last two set.
const ENABLED: u8 = 0x01;
const MAY_BE_CHANGED: u8 = 0x02;
const MAY_BE_DISABLED: u8 = 0x04;

/// Length of a PIN or PUK in octets.
const CODE_LENGTH: usize = 8;

/// The directory that owns a PIN, and its key reference. Identifies a verified PIN.
pub(super) type PinPlace = (FileIndex, PinKeyReference);

/// VERIFY PIN: section 11.1.9.
pub(super) fn verify(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let place = addressed(context, command)?;
    if command.data.is_empty() {
        // Without data, the command queries the retry counter. The response does not depend on
        // whether the PIN is verified.
        return Err(refused(pin(context, place)?.attempts_left));
    }
    let (code, []) = codes(command.data)? else { return Err(StatusWord::WRONG_LENGTH) };
    if !pin(context, place)?.is_enabled() {
        return Err(StatusWord::REFERENCED_DATA_INVALIDATED);
    }
    present(context, place, code)?;
    Ok(Vec::new())
}

/// CHANGE PIN: section 11.1.10.
pub(super) fn change(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let place = addressed(context, command)?;
    let (old, new) = codes(command.data)?;
    if new.len() != CODE_LENGTH {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let pin = pin(context, place)?;
    if !pin.is_enabled() {
        return Err(StatusWord::REFERENCED_DATA_INVALIDATED);
    }
    if pin.attributes & MAY_BE_CHANGED == 0 {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    present(context, place, old)?;
    pin_mut(context, place)?.value = new.into();
    Ok(Vec::new())
}

/// DISABLE PIN: section 11.1.11.
pub(super) fn disable(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    set_enabled(context, command, false)
}

/// ENABLE PIN: section 11.1.12.
pub(super) fn enable(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    set_enabled(context, command, true)
}

fn set_enabled(context: &mut Context<'_>, command: &Command<'_>, to: bool) -> Result<Vec<u8>, StatusWord> {
    let place = addressed(context, command)?;
    let (code, []) = codes(command.data)? else { return Err(StatusWord::WRONG_LENGTH) };
    let pin = pin(context, place)?;
    if pin.is_enabled() == to {
        return Err(StatusWord::REFERENCED_DATA_INVALIDATED);
    }
    if pin.attributes & MAY_BE_DISABLED == 0 {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    present(context, place, code)?;
    let pin = pin_mut(context, place)?;
    if to {
        pin.attributes |= ENABLED
    } else {
        pin.attributes &= !ENABLED
    }
    Ok(Vec::new())
}

/// UNBLOCK PIN: section 11.1.13.
pub(super) fn unblock(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let place = addressed(context, command)?;
    let unblocked_by = pin(context, place)?.unblocked_by.ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
    let puk = puk(context, unblocked_by)?;
    if command.data.is_empty() {
        return Err(match puk.attempts_left {
            0 => StatusWord::AUTHENTICATION_METHOD_BLOCKED,
            left => StatusWord::attempts_left(left),
        });
    }
    let (code, new) = codes(command.data)?;
    if new.len() != CODE_LENGTH {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let (is_right, left) = (puk.value.expose() == code, puk.attempts_left);
    if left == 0 {
        return Err(StatusWord::AUTHENTICATION_METHOD_BLOCKED);
    }
    let puk = puk_mut(context, unblocked_by)?;
    if !is_right {
        puk.attempts_left = left.saturating_sub(1);
        return Err(refused(puk.attempts_left));
    }
    puk.attempts_left = puk.attempts;
    let pin = pin_mut(context, place)?;
    pin.value = new.into();
    pin.attempts_left = pin.attempts;
    // UNBLOCK PIN also enables the PIN: section 9.5.1.
    pin.attributes |= ENABLED;
    context.volatile.verified.insert(place);
    Ok(Vec::new())
}

/// The PIN with this reference that applies in a directory: its own, or the one of the nearest
/// directory above.
pub(super) fn find(
    profile: &InstalledProfile,
    directory: FileIndex,
    reference: u8,
) -> Option<(PinPlace, &Pin)> {
    let reference = PinKeyReference(reference);
    profile.files.ancestors(directory).find_map(|directory| {
        let owner = owner_of(profile, directory)?;
        let pin = own_pins(profile, owner).find(|pin| pin.reference == reference)?;
        Some(((owner, reference), pin))
    })
}

/// The universal PIN, which can replace the PINs of several applications: TS 102 221 section 9.4.1.
pub(super) const UNIVERSAL_PIN: u8 = 0x11;

/// The PINs that an application requires of the user. These are the enabled application PINs (level
/// 1 of table 9.2) in its PIN status template, or if none is enabled, the universal PIN if the
/// template has it (sections 9.4 and 9.5.2). An empty template stands for the PIN of a card with
/// one application.
pub(super) fn required_pins(profile: &InstalledProfile, adf: FileIndex) -> Vec<PinPlace> {
    const SINGLE: &[u8] = &[0x01];
    let named = profile.files.file(adf).map(|file| &*file.pin_status_template);
    let named = named.filter(|named| !named.is_empty()).unwrap_or(SINGLE);
    let enabled = |reference: &u8| {
        let (place, pin) = find(profile, adf, *reference)?;
        pin.is_enabled().then_some(place)
    };
    let own = named.iter().filter(|reference| (0x01..=0x08).contains(*reference));
    let required: Vec<_> = own.filter_map(enabled).collect();
    if !required.is_empty() {
        return required;
    }
    named.iter().filter(|reference| **reference == UNIVERSAL_PIN).filter_map(enabled).collect()
}

/// The directory whose PINs apply: the directory itself, or the owner of the PINs that it shares.
fn owner_of(profile: &InstalledProfile, directory: FileIndex) -> Option<FileIndex> {
    let pins = profile.facts.pins.iter().find(|pins| pins.directory == directory)?;
    Some(match pins.codes {
        PinCodesOf::Own(_) => directory,
        PinCodesOf::SharedWith(other) => other,
    })
}

fn own_pins(profile: &InstalledProfile, owner: FileIndex) -> impl Iterator<Item = &Pin> {
    let pins = profile.facts.pins.iter().filter(move |pins| pins.directory == owner);
    pins.filter_map(|pins| match &pins.codes {
        PinCodesOf::Own(own) => Some(own),
        PinCodesOf::SharedWith(_) => None,
    })
    .flatten()
}

/// The PIN that P2 references in the current directory.
fn addressed(context: &Context<'_>, command: &Command<'_>) -> Result<PinPlace, StatusWord> {
    if command.p1 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let place = context.place()?;
    let directory = place.directory;
    let found = find(context.profile()?, directory, command.p2);
    found.map(|(place, _)| place).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

/// The first code in the data field, and the octets after it.
fn codes(data: &[u8]) -> Result<(&[u8], &[u8]), StatusWord> {
    data.split_at_checked(CODE_LENGTH).ok_or(StatusWord::WRONG_LENGTH)
}

/// Compares the code, updates the retry counter, and records a successful verification.
fn present(context: &mut Context<'_>, place: PinPlace, code: &[u8]) -> Result<(), StatusWord> {
    let pin = pin(context, place)?;
    let (is_right, left, attempts) = (pin.value.expose() == code, pin.attempts_left, pin.attempts);
    if left == 0 {
        return Err(StatusWord::AUTHENTICATION_METHOD_BLOCKED);
    }
    if !is_right {
        context.volatile.verified.remove(&place);
        let left = left.saturating_sub(1);
        pin_mut(context, place)?.attempts_left = left;
        return Err(refused(left));
    }
    if left != attempts {
        pin_mut(context, place)?.attempts_left = attempts;
    }
    context.volatile.verified.insert(place);
    Ok(())
}

fn refused(left: u8) -> StatusWord {
    if left == 0 { StatusWord::AUTHENTICATION_METHOD_BLOCKED } else { StatusWord::attempts_left(left) }
}

fn pin<'a>(context: &'a Context<'_>, (owner, reference): PinPlace) -> Result<&'a Pin, StatusWord> {
    let mut own = own_pins(context.profile()?, owner);
    own.find(|pin| pin.reference == reference).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

fn pin_mut<'a>(
    context: &'a mut Context<'_>,
    (owner, reference): PinPlace,
) -> Result<&'a mut Pin, StatusWord> {
    let pins = context.profile_mut()?.facts.pins.iter_mut().filter(|pins| pins.directory == owner);
    pins.filter_map(|pins| match &mut pins.codes {
        PinCodesOf::Own(own) => Some(own),
        PinCodesOf::SharedWith(_) => None,
    })
    .flatten()
    .find(|pin| pin.reference == reference)
    .ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

fn puk<'a>(context: &'a Context<'_>, reference: PukKeyReference) -> Result<&'a Puk, StatusWord> {
    let mut puks = context.profile()?.facts.puks.iter();
    puks.find(|puk| puk.reference == reference).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

fn puk_mut<'a>(context: &'a mut Context<'_>, reference: PukKeyReference) -> Result<&'a mut Puk, StatusWord> {
    let mut puks = context.profile_mut()?.facts.puks.iter_mut();
    puks.find(|puk| puk.reference == reference).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

/// True if the PIN of the application is verified, or if it has no enabled PIN: TS 31.102 section
/// 7.1.1.1.
pub(crate) fn may_authenticate(context: &Context<'_>, adf: FileIndex) -> Result<bool, StatusWord> {
    let required = required_pins(context.profile()?, adf);
    Ok(required.iter().all(|place| context.volatile.verified.contains(place)))
}
