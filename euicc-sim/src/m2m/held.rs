//! What a card has, for a test bench that sees into its memory: no door shows it to anybody but the SM-SR.

use rsp::ids::{Aid, Eid, Iccid};
use world::{Cells, Fault};

use super::state::IsdP;
use crate::{shared::Shared, stored};

/// An ISD-P of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub isd_p: Aid,
    /// The profile in it, if there is one.
    pub iccid: Option<Iccid>,
    /// Whether that is the enabled one.
    pub is_enabled: bool,
    /// Whether that is the one to fall back to.
    pub is_fallback: bool,
    /// The connectivity parameters that its SM-DP has written, over those of the profile.
    pub connectivity: Option<Vec<u8>>,
}

/// The ISD-Ps of the M2M card whose memory this is, in the order in which they were created.
///
/// # Errors
/// It is not the memory of this card.
pub fn held(cells: Cells, eid: Eid) -> Result<Vec<Held>, Fault> {
    let Some(persistent) = stored::load(cells, eid, &Shared::default())? else { return Ok(Vec::new()) };
    let Some(m2m) = &persistent.m2m else { return Ok(Vec::new()) };
    let of = |IsdP { aid, connectivity, .. }: &IsdP| Held {
        isd_p: aid.clone(),
        iccid: persistent.profile(aid).map(|profile| profile.iccid()),
        is_enabled: persistent.enabled.as_ref() == Some(aid),
        is_fallback: m2m.fallback.as_ref() == Some(aid),
        connectivity: connectivity.as_ref().map(|octets| octets.to_vec()),
    };
    Ok(m2m.isd_ps.iter().map(of).collect())
}
