//! The IPA under test, and the servers of the tester.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::eim::Eim;
use rsp::ids::{Eid, Iccid};
use sm_dp::SmDpPlus;
use world::{BoxFuture, Fault, World};

use super::tap::Tap;

/// The device under test.
pub trait Device: Send + Sync {
    /// Lets the IPA poll the eIM of the tester, and waits until it has done so. A failure of the
    /// device is not an error: the cases look at the calls of the IPA.
    ///
    /// # Errors
    /// The device cannot be run.
    fn run(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// Presents a TLS certificate with another key in all connections to the eIM, or the correct
    /// one again. Returns false if this is not possible.
    fn present_another_key(&self, is_other: bool) -> bool;

    /// Takes the service away from the enabled profile, or returns the device to the place and the
    /// time at which it returns from the Fallback Profile. Returns false if this is not possible.
    fn set_service(&self, is_available: bool) -> bool {
        let _ = is_available;
        false
    }
}

/// Another eIM of the tester, with which the first one associates the eUICC.
pub struct AnotherEim {
    /// The eIM. The device reaches it through the tap.
    pub eim: Eim,
    /// The tap in front of it.
    pub tap: Tap,
}

/// An IPA under test, with the servers that it uses.
pub struct IpaUnderTest {
    /// The device.
    pub device: Box<dyn Device>,
    /// The eIM with which the eUICC of the device is associated. The device reaches it through the
    /// tap.
    pub eim: Eim,
    /// The tap in front of the eIM.
    pub tap: Tap,
    /// Another eIM. Cases of several eIMs are not run without it.
    pub other: Option<AnotherEim>,
    /// The SM-DP+ for downloads.
    pub sm_dp: SmDpPlus,
    /// The address of the SM-DP+ for the device and for the eIM.
    pub sm_dp_address: String,
    /// Builds the package of a profile with this number, for the SM-DP+.
    pub package: fn(u64) -> Result<Vec<u8>, Fault>,
    /// Maximum further runs of the device in one step of a case.
    pub retries: u32,
    /// The clock and randomness of the tester.
    pub world: World,
    /// What earlier cases found out.
    pub known: Mutex<KnownDevice>,
}

/// What earlier cases found out about a device.
#[derive(Clone, Debug, Default)]
pub struct KnownDevice {
    /// The EID in its polls.
    pub eid: Option<Eid>,
    /// True if its first poll arrived over CoAP.
    pub is_coap: bool,
    /// The bits of ipaFeatures.
    pub features: Option<Vec<usize>>,
    /// The profiles that the tester has installed.
    pub profiles: Vec<Iccid>,
}

impl IpaUnderTest {
    /// Returns what is known about the device.
    pub(super) fn known(&self) -> MutexGuard<'_, KnownDevice> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the link for the listening socket of the eIM.
    pub fn link(&self) -> world::Link {
        self.tap.over(self.eim.link())
    }
}

impl<D: Device + ?Sized> Device for Arc<D> {
    fn run(&self) -> BoxFuture<'_, Result<(), Fault>> {
        (**self).run()
    }

    fn present_another_key(&self, is_other: bool) -> bool {
        (**self).present_another_key(is_other)
    }

    fn set_service(&self, is_available: bool) -> bool {
        (**self).set_service(is_available)
    }
}
