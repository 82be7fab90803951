//! Visibility of an EIS for each reader: SGP.02 Annex E, as one table.
//!
//! Some rows come from an open implementation that cites Annex E of version 3.1; the others have no
//! written source. None is verified against the annex, which was not available. To correct the
//! visibility of an EIS, change only this table.
//! The data signed by the EUM is always shown completely, because a part of it cannot be verified.

use rsp::{
    ids::{Iccid, Oid},
    sgp02::eis::{AuditTrail, AuditTrailRecord, Eis, ProfileInfo},
};

/// Function for which an EIS is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disclosure {
    /// ES3.GetEIS, to an SM-DP.
    GetEisToSmDp,
    /// ES4.GetEIS, to an operator.
    GetEisToOperator,
    /// ES3.AuditEIS.
    AuditEisToSmDp,
    /// ES4.AuditEIS.
    AuditEisToOperator,
    /// ES7.HandoverEUICC, to the SM-SR that takes over the card.
    HandoverToSmSr,
    /// HandleSMSRChangeNotification, to an operator or its SM-DP.
    SmsrChanged,
}

/// Profiles that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profiles {
    All,
    OfSmDp,
    OfOperator,
}

/// Shown part of the key sets of the ISD-R. Key values and check values are never shown. The key
/// sets themselves are always shown, because the schema requires them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsdR {
    /// Version numbers, types and counters.
    Counters,
    /// Version numbers and types.
    NoCounters,
}

struct Row {
    profiles: Profiles,
    isd_r: IsdR,
    last_audit: bool,
    audit_trail: bool,
    additional_properties: bool,
}

impl Disclosure {
    fn row(self) -> Row {
        use IsdR::{Counters, NoCounters};
        use Profiles::{All, OfOperator, OfSmDp};
        let row = |profiles, isd_r, last_audit, audit_trail, additional_properties| Row {
            profiles,
            isd_r,
            last_audit,
            audit_trail,
            additional_properties,
        };
        // req: SGP.02-E-Profiles
        match self {
            //                          profiles, ISD-R, last audit, audit trail, additional properties
            Self::GetEisToSmDp => row(OfSmDp, NoCounters, false, false, true),
            Self::GetEisToOperator => row(OfOperator, NoCounters, false, false, true),
            Self::AuditEisToSmDp => row(OfSmDp, NoCounters, true, false, true),
            Self::AuditEisToOperator => row(OfOperator, NoCounters, true, false, true),
            Self::HandoverToSmSr => row(All, Counters, true, true, true),
            Self::SmsrChanged => row(OfOperator, NoCounters, false, false, false),
        }
    }
}

/// Returns the EIS as visible to `to`. If `only` is not empty, it limits the profiles to those
/// named in an audit.
pub(crate) fn visible_eis(
    eis: &Eis,
    trail: Vec<AuditTrailRecord>,
    to: &Oid,
    why: Disclosure,
    only: &[Iccid],
) -> Eis {
    let row = why.row();
    let is_visible = |profile: &ProfileInfo| match row.profiles {
        Profiles::All => true,
        Profiles::OfSmDp => profile.smdp_id.as_ref() == Some(to),
        Profiles::OfOperator => profile.mno_id == *to,
    };
    let mut eis = eis.clone();
    eis.profile_info
        .retain(|profile| is_visible(profile) && (only.is_empty() || only.contains(&profile.iccid)));
    eis.isd_r = eis.isd_r.map(|isd_r| {
        let mut isd_r = isd_r.without_key_values();
        if row.isd_r == IsdR::NoCounters {
            isd_r.keyset.iter_mut().for_each(|set| set.cntr = None);
        }
        isd_r
    });
    if !row.last_audit {
        eis.last_audit_date = None;
    }
    eis.audit_trail = row.audit_trail.then_some(AuditTrail { record: trail });
    eis.additional_properties =
        eis.additional_properties.filter(|all| row.additional_properties && !all.property.is_empty());
    eis
}
