//! ES1.RegisterEIS: SGP.02 section 5.2. Registers a new card with this SM-SR.
//!
//! The caller must be the EUM that signed the EIS. Key values are encrypted under the transport key
//! of this EUM and this SM-SR (AES-128 in ECB mode, which only one source describes).

use rsp::sgp02::{
    BaseResponse,
    eis::{Eis, Keyset, KeysetType},
    es1,
    status::{Refusal, Status},
};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    caller::check_role,
    check_eis,
    context::Context,
    records::{Card, Key, KeySet, Keys, PeerRole, SCP80_VERSIONS, SCP81_VERSIONS},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es1::RegisterEisRequest,
) -> Decision<Answer<es1::RegisterEisResponse>> {
    check_role(context, &call.caller, |role| matches!(role, PeerRole::Eum { .. })).await?;
    let eis = &request.eis;
    let eid = eis.eum_signed_info.eid;
    // req: SGP.02-5.2-OtherEum
    if eis.eum_signed_info.eum_id != call.caller {
        return Err(Status::EumVerificationFailed
            .because("the EIS names another EUM than the caller")
            .about(&eis.eum_signed_info.eum_id)
            .into());
    }
    // req: SGP.02-5.2-EidInUse
    if context.card(eid).await?.is_some() {
        return Err(Status::EidInUse.because("the card is already registered").about(eid).into());
    }
    check_eis::check(context, eis)?;
    check_eis::check_contents(eis, &context.config.id)?;
    let transport = match context.peer(&call.caller).await?.map(|peer| peer.role) {
        Some(PeerRole::Eum { transport_key }) => transport_key,
        _ => None,
    };
    let keys = key_sets(eis, transport.as_ref())?;
    let mut eis = eis.clone();
    eis.isd_r = eis.isd_r.map(rsp::sgp02::eis::SecurityDomain::without_key_values);
    eis.audit_trail = None;
    let card = Card { keys, ..Card::new(eis) };
    card.check_addresses(context.tx).await?;
    card.store_addresses(context.tx).await?;
    card.store(context.tx)?;
    Ok(Answer::Now(es1::RegisterEisResponse { base: BaseResponse::default() }))
}

/// Returns the key sets that give access to the ISD-R.
fn key_sets(eis: &Eis, transport: Option<&Key>) -> Result<Vec<KeySet>, Refusal> {
    let mut sets = Vec::new();
    for set in eis.isd_r.iter().flat_map(|isd_r| &isd_r.keyset) {
        if let Some(set) = key_set(set, transport)? {
            sets.push(set);
        }
    }
    if !sets.iter().any(|set| matches!(set.keys, Keys::Scp80 { .. })) {
        return Err(
            Status::EisInvalid.because("the ISD-R has no SCP80 key set, so the card cannot be reached")
        );
    }
    Ok(sets)
}

/// Returns a key set; `None` for one that this SM-SR does not use. The protocol follows from the
/// type of the key set or, if it has none, from its version number.
fn key_set(set: &Keyset, transport: Option<&Key>) -> Result<Option<KeySet>, Refusal> {
    let version = set.version;
    let is = |kind, versions: &std::ops::RangeInclusive<u8>| {
        set.r#type.map_or(versions.contains(&version), |declared| declared == kind)
    };
    let keys = if is(KeysetType::Scp80, &SCP80_VERSIONS) {
        Keys::Scp80 {
            kic: value(set, 1, transport)?,
            kid: value(set, 2, transport)?,
            dek: value(set, 3, transport)?,
            counter: set.cntr.unwrap_or(0),
        }
    } else if is(KeysetType::Scp81, &SCP81_VERSIONS) {
        let has_dek = set.key.iter().any(|key| key.index == 2);
        let dek = if has_dek { Some(value(set, 2, transport)?) } else { None };
        Keys::Scp81 { psk: value(set, 1, transport)?, dek }
    } else {
        return Ok(None);
    };
    Ok(Some(KeySet { version, keys }))
}

/// Types of DES keys: GlobalPlatform section 11.1.8.
const DES: std::ops::RangeInclusive<u8> = 0x80..=0x84;

/// Decrypts the value of a key and compares it with the check value, if there is one.
fn value(set: &Keyset, index: u8, transport: Option<&Key>) -> Result<Key, Refusal> {
    let invalid =
        |why: String| Status::EisInvalid.because(format!("key {index} of key set {:02X} {why}", set.version));
    let key =
        set.key.iter().find(|key| key.index == index).ok_or_else(|| invalid("is missing".to_owned()))?;
    let [component] = key.key_components.as_slice() else {
        return Err(invalid("does not have exactly one component".to_owned()));
    };
    // A triple DES key can have the same length as an AES key.
    if DES.contains(&component.r#type) {
        return Err(invalid("is a DES key, and SGP.02 section 2.4.3 allows AES only".to_owned()));
    }
    let octets = match transport {
        Some(transport) => {
            crate::transport::decipher(transport, component.value.as_slice()).map_err(invalid)?
        }
        None => component.value.0.clone(),
    };
    if octets.len() != 16 {
        return Err(invalid(format!("has {} octets, and an AES-128 key has 16", octets.len())));
    }
    let check = crate::transport::check_value(&octets);
    if !key.kcv.0.is_empty() && !check.starts_with(key.kcv.as_slice()) {
        return Err(invalid("does not match its check value".to_owned()));
    }
    Ok(Key::new(octets))
}
