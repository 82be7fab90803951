//! Installation of a profile: SGP.02 section 4.1.3.3, TCA profile package 8.1. The package arrives
//! in segments and is installed into volatile memory as they arrive. The last element stores the
//! profile in one write.

use profile::element::ProfileElement;
use profile::{EuiccResponse, PeStatusCode, Refused};
use rsp::der::Asn1;
use rsp::ids::{Aid, Iccid};
use std::sync::Arc;

use crate::install::package::{self, PackageLoader};
use crate::m2m::context::M2mContext;
use crate::m2m::factory::{iccid_of, of_package};
use crate::state::m2m::session::Loading;

/// The result of processing a segment.
pub(super) enum Progress {
    /// The package is incomplete.
    More,
    /// EUICCResponse: the profile was installed or the package was refused.
    Ended(Vec<u8>),
}

impl Loading {
    pub(super) fn new(context: &M2mContext<'_>) -> Self {
        Self(PackageLoader::new(context.description))
    }

    /// Processes further octets of the package.
    pub(super) fn take(&mut self, context: &mut M2mContext<'_>, isd_p: &Aid, octets: &[u8]) -> Progress {
        match self.next(context, isd_p, octets) {
            Ok(None) => Progress::More,
            Ok(Some(response)) => Progress::Ended(response.to_der()),
            Err(refusal) => Progress::Ended(refusal.response.to_der()),
        }
    }

    fn next(
        &mut self,
        context: &mut M2mContext<'_>,
        isd_p: &Aid,
        octets: &[u8],
    ) -> Result<Option<EuiccResponse>, package::Refusal> {
        let room = room_for(context, isd_p);
        let mut is_complete = false;
        let taken = self.0.take(room, octets, |element| {
            is_complete |= matches!(element, ProfileElement::End(_));
            match element {
                ProfileElement::Header(header) => check_is_new(context, iccid_in_header(&header.iccid)?),
                _ => Ok(()),
            }
        });
        taken?;
        if !is_complete {
            return Ok(None);
        }
        let loaded = std::mem::replace(&mut self.0, PackageLoader::new(context.description)).finish()?;
        loaded.check_room(room)?;
        let iccid = iccid_of(&loaded.content).ok_or_else(|| refusal("the ICCID is invalid"))?;
        // Another ISD-P may have got a profile since the header was received.
        check_is_new(context, iccid)?;
        let octets = usize::try_from(loaded.octets).unwrap_or(usize::MAX);
        let profile = of_package(isd_p.clone(), iccid, octets, loaded.content);
        context.persistent.to_mut().profiles.push(Arc::new(profile));
        Ok(Some(EuiccResponse::installed(loaded.warnings)))
    }
}

/// Octets available to the profile in this ISD-P: the granted memory, or all free memory.
fn room_for(context: &M2mContext<'_>, isd_p: &Aid) -> u32 {
    let granted = context.state.isd_p(isd_p).and_then(|isd_p| isd_p.granted);
    granted.unwrap_or_else(|| context.free_memory())
}

fn iccid_in_header(octets: &[u8]) -> Result<Iccid, package::Refusal> {
    let iccid = <&[u8; 10]>::try_from(octets).ok().and_then(|iccid| Iccid::from_profile_header(iccid).ok());
    iccid.ok_or_else(|| refusal("the ICCID is invalid"))
}

/// Checks that no profile of the card has this ICCID.
fn check_is_new(context: &M2mContext<'_>, iccid: Iccid) -> Result<(), package::Refusal> {
    match context.persistent.has_iccid(iccid) {
        true => Err(refusal("the card has a profile with this ICCID")),
        false => Ok(()),
    }
}

fn refusal(what: &str) -> package::Refusal {
    let refused = Refused {
        code: PeStatusCode::BAD_VALUES,
        identification: None,
        element: "header",
        what: what.to_owned(),
    };
    package::Refusal::of(Vec::new(), &refused)
}
