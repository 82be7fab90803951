//! The testbed of one case: the orders of the tester, and the runs of the device.

use ::eim::records::{
    DataElement, DataRequest, Download, DownloadSource, EimOperation, OrderState, Outcome, Package,
    ProfileOperation,
};
use ::eim::{NewDevice, NewOrder};
use bytes::Bytes;
use http::{Method, Request};
use rsp::der::Asn1;
use rsp::ids::{Eid, Iccid, TransactionId};
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp22::es10c::{ProfileInfo, ProfileInfoListResponse};
use rsp::sgp32::esipa::EimPackageResult;
use rsp::sgp32::ipa_data::{
    IpaEuiccData, IpaEuiccDataResponse, ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData,
};
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};
use sgp23::{During, Stop, Verdict, ensure};
use sm_dp::{ProfileOptions, ProfileState};

use super::subject::IpaUnderTest;
use super::tap::{Act, Call, Function, Intervention};

/// The testbed of one case.
pub struct Testbed<'a> {
    pub(super) ipa: &'a IpaUnderTest,
    pub(super) eid: Eid,
    placed: Vec<TransactionId>,
}

impl<'a> Testbed<'a> {
    /// Registers the device, if no case has done it.
    ///
    /// # Errors
    /// The device does not poll.
    pub(super) async fn begin(ipa: &'a IpaUnderTest) -> Result<Self, Stop> {
        ipa.tap.clear();
        let known = ipa.known().eid;
        let eid = match known {
            Some(eid) => eid,
            None => {
                ipa.device.run().await?;
                let calls = ipa.tap.calls();
                let polled = calls.iter().find_map(|call| Some((call.poll()?.eid_value, call.is_coap)));
                let (eid, is_coap) = polled.ok_or_else(|| Stop::needs("a device that polls the eIM"))?;
                if ipa.eim.device(eid).await?.is_none() {
                    ipa.eim.register(&NewDevice::new(eid)).await?;
                }
                {
                    let mut known = ipa.known();
                    (known.eid, known.is_coap) = (Some(eid), is_coap);
                }
                ipa.tap.clear();
                eid
            }
        };
        Ok(Self { ipa, eid, placed: Vec::new() })
    }

    /// Deletes the orders of the case that have no result, so that they do not disturb the next
    /// case.
    ///
    /// # Errors
    /// The records of the eIM fail.
    pub(super) async fn conclude(&self) -> Verdict {
        self.ipa.tap.end_interventions();
        self.ipa.device.present_another_key(false);
        if let Some(other) = &self.ipa.other {
            other.tap.end_interventions();
        }
        for id in &self.placed {
            if self.ended(id).await?.is_none() {
                let mut request = Request::new(Bytes::new());
                *request.method_mut() = Method::DELETE;
                *request.uri_mut() = format!("/admin/v1/orders/{id}")
                    .parse()
                    .map_err(|_| Stop::needs("an address of an order"))?;
                world::send(&self.ipa.eim.admin(), request).await?;
            }
        }
        Ok(())
    }

    /// Places an order.
    ///
    /// # Errors
    /// The eIM refuses it.
    pub(super) async fn order(&mut self, package: Package) -> Result<TransactionId, Stop> {
        let id = self.ipa.eim.order(&NewOrder::new(self.eid, package)).await?;
        self.placed.push(id.clone());
        Ok(id)
    }

    /// Orders operations on profiles.
    ///
    /// # Errors
    /// The eIM refuses them.
    pub(super) async fn order_profiles(
        &mut self,
        operations: &[ProfileOperation],
    ) -> Result<TransactionId, Stop> {
        self.order(Package::ProfileOperations(operations.to_vec())).await
    }

    /// Orders the list of the profiles.
    ///
    /// # Errors
    /// The eIM refuses the order.
    pub(super) async fn order_list(&mut self) -> Result<TransactionId, Stop> {
        self.order_profiles(&[ProfileOperation::ListProfileInfo {}]).await
    }

    /// Orders the list of the eIMs.
    ///
    /// # Errors
    /// The eIM refuses the order.
    pub(super) async fn order_eims(&mut self) -> Result<TransactionId, Stop> {
        self.order(Package::EimOperations(vec![EimOperation::ListEim {}])).await
    }

    /// Loses or replaces messages of the next calls.
    pub(super) fn intervene(&self, functions: &'static [Function], act: Act, times: u32) {
        self.ipa.tap.intervene(Intervention { functions, act, times });
    }

    /// The calls of the IPA in this case.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.ipa.tap.calls()
    }

    /// The calls of one function.
    pub(super) fn calls_of(&self, function: Function) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.function == function).collect()
    }

    /// Lets the IPA poll once.
    ///
    /// # Errors
    /// The device cannot be run.
    pub(super) async fn run(&self) -> Verdict {
        self.ipa.device.run().await?;
        // Notifications that the IPA sent through the eIM.
        self.ipa.eim.due().await?.run().await;
        Ok(())
    }

    /// Lets the IPA poll until an order has a result.
    ///
    /// # Errors
    /// The order has no result after the last retry.
    pub(super) async fn outcome(&self, id: &TransactionId) -> Result<Outcome, Stop> {
        for _ in 0..=self.ipa.retries {
            self.run().await?;
            if let Some(outcome) = self.ended(id).await? {
                return Ok(outcome);
            }
        }
        let calls: Vec<_> = self.calls().iter().map(|call| format!("{:?}", call.function)).collect();
        Err(Stop::failed(format!("the eIM has no result; the IPA called {}", calls.join(", "))))
    }

    /// The result of an order, if there is one.
    ///
    /// # Errors
    /// The records of the eIM fail.
    pub(super) async fn ended(&self, id: &TransactionId) -> Result<Option<Outcome>, Stop> {
        Ok(match self.ipa.eim.order_of(id).await?.map(|order| order.state) {
            Some(OrderState::Ended { outcome, .. }) => Some(outcome),
            _ => None,
        })
    }

    /// Requests data of the device.
    ///
    /// # Errors
    /// The IPA does not return them.
    pub(super) async fn data(&mut self, elements: &[DataElement]) -> Result<IpaEuiccData, Stop> {
        let id = self.order(Package::Data(DataRequest { elements: elements.to_vec() })).await?;
        match self.outcome(&id).await.during("IpaEuiccDataRequest")? {
            Outcome::Data(octets) => match IpaEuiccDataResponse::from_der(&octets.0).map_err(unreadable)? {
                IpaEuiccDataResponse::IpaEuiccData(data) => Ok(*data),
                other => Err(Stop::failed(format!("the IPA returned {other:?}, expected data"))),
            },
            other => Err(Stop::failed(format!("the IPA returned {other:?}, expected data"))),
        }
    }

    /// The functions of the IPA, as it reports them.
    ///
    /// # Errors
    /// The IPA does not report them.
    pub(super) async fn features(&mut self) -> Result<Vec<usize>, Stop> {
        let known = self.ipa.known().features.clone();
        if let Some(features) = known {
            return Ok(features);
        }
        let data = self.data(&[DataElement::IpaCapabilities]).await?;
        let capabilities = data.ipa_capabilities.ok_or_else(|| Stop::needs("ipaCapabilities of the IPA"))?;
        let features = capabilities.ipa_features.ones();
        self.ipa.known().features = Some(features.clone());
        Ok(features)
    }

    /// Orders the download of a new profile. Returns its ICCID.
    ///
    /// # Errors
    /// The eIM refuses the order.
    pub(super) async fn order_download(&mut self, kept_by_eim: bool) -> Result<(Iccid, TransactionId), Stop> {
        self.order_download_of(kept_by_eim, None).await
    }

    /// Orders the download of a new profile. The eIM refuses a profile with another ICCID than the
    /// expected one, if there is one. Returns the ICCID of the profile.
    ///
    /// # Errors
    /// The eIM refuses the order.
    pub(super) async fn order_download_of(
        &mut self,
        kept_by_eim: bool,
        expected: Option<Iccid>,
    ) -> Result<(Iccid, TransactionId), Stop> {
        let number = u64::from(u32::from_be_bytes(self.ipa.world.random()));
        let package = (self.ipa.package)(number)?;
        // Any profile can be the Fallback Profile.
        let options = ProfileOptions { fallback_allowed: true, ..ProfileOptions::default() };
        let iccid = self.ipa.sm_dp.add_profile(&package, &options).await?;
        let order = serde_json::json!({ "iccid": iccid, "matchingId": iccid });
        let order = serde_json::from_value(order)
            .map_err(|error| Stop::needs(format!("an order at the SM-DP+: {error}")))?;
        self.ipa.sm_dp.ensure_order(&order).await?;
        let source = DownloadSource::ActivationCode(format!("1${}${iccid}", self.ipa.sm_dp_address));
        let download = Download { source, kept_by_eim, iccid: expected, policy_rules_allowed: false };
        Ok((iccid, self.order(Package::Download(download)).await?))
    }

    /// Downloads a new profile.
    ///
    /// # Errors
    /// The IPA does not report its installation.
    pub(super) async fn download(&mut self, kept_by_eim: bool) -> Result<Iccid, Stop> {
        let (iccid, id) = self.order_download(kept_by_eim).await?;
        let result = match self.outcome(&id).await? {
            Outcome::Installation(octets) => {
                ProfileInstallationResult::from_der(&octets.0).map_err(unreadable)?
            }
            Outcome::Download(octets) => {
                let result = ProfileDownloadTriggerResult::from_der(&octets.0).map_err(unreadable)?;
                match result.profile_download_trigger_result_data {
                    ProfileDownloadTriggerResultData::ProfileInstallationResult(result) => {
                        result.into_value()
                    }
                    other => return Err(Stop::failed(format!("the download failed: {other:?}"))),
                }
            }
            other => return Err(Stop::failed(format!("the IPA returned {other:?}, expected a download"))),
        };
        match &result.profile_installation_result_data.final_result {
            FinalResult::SuccessResult(_) => {
                self.ipa.known().profiles.push(iccid);
                Ok(iccid)
            }
            FinalResult::ErrorResult(error) => {
                Err(Stop::failed(format!("the eUICC did not install the profile: {}", error.error_reason)))
            }
        }
    }

    /// Returns two profiles on the card, which are downloaded first if necessary.
    ///
    /// # Errors
    /// A profile cannot be downloaded.
    pub(super) async fn profiles(&mut self) -> Result<[Iccid; 2], Stop> {
        loop {
            let known = self.ipa.known().profiles.clone();
            if let [.., first, second] = known.as_slice() {
                return Ok([*first, *second]);
            }
            self.download(false).await.map_err(|stop| match stop {
                Stop::Failed(why) | Stop::NotRun(why) => Stop::needs(format!("a profile: {why}")),
            })?;
        }
    }

    /// Lets the IPA execute operations on profiles, and returns the results of the eUICC.
    ///
    /// # Errors
    /// There are no results.
    pub(super) async fn executed(
        &mut self,
        operations: &[ProfileOperation],
    ) -> Result<Vec<EuiccResultData>, Stop> {
        let id = self.order_profiles(operations).await?;
        self.delivered_results(&id).await
    }

    /// The octets of the results of packages that the IPA delivered, in the order of their
    /// delivery.
    pub(super) fn delivered(&self) -> Vec<Vec<u8>> {
        let calls = self.calls();
        let results = calls.iter().filter_map(Call::result).filter_map(|result| match result {
            EimPackageResult::EuiccPackageResult(result) => Some(result.bytes().to_vec()),
            EimPackageResult::EprAndNotifications(both) => Some(both.euicc_package_result.bytes().to_vec()),
            _ => None,
        });
        results.collect()
    }

    /// Lets the IPA poll until an order has a result. The eIM can also get it in the data of the
    /// device, after it has refused what the IPA delivered, so that the delivery is checked too.
    ///
    /// # Errors
    /// There is no result, or the IPA delivered other octets.
    pub(super) async fn delivered_results(&self, id: &TransactionId) -> Result<Vec<EuiccResultData>, Stop> {
        let outcome = self.outcome(id).await?;
        let results = results_of(&outcome)?;
        let is_delivered = match &outcome {
            Outcome::EuiccPackage(octets) => self.delivered().contains(&octets.0),
            _ => false,
        };
        ensure(is_delivered, || "the IPA delivered other octets than those of the eUICC".to_owned())?;
        Ok(results)
    }
}

impl Testbed<'_> {
    /// Checks that the SM-DP+ knows of the installation. The IPA may inform it at the next poll.
    ///
    /// # Errors
    /// The SM-DP+ does not know of it.
    pub(super) async fn expect_installed_at_sm_dp(&self, iccid: Iccid) -> Verdict {
        for _ in 0..=self.ipa.retries {
            if self.is_installed_at_sm_dp(iccid).await? {
                return Ok(());
            }
            self.run().await?;
        }
        Err(Stop::failed("the SM-DP+ has no result of the installation"))
    }

    /// True if the SM-DP+ knows that the profile is installed.
    ///
    /// # Errors
    /// The records of the SM-DP+ fail.
    pub(super) async fn is_installed_at_sm_dp(&self, iccid: Iccid) -> Result<bool, Stop> {
        let orders = self.ipa.sm_dp.orders().await?;
        Ok(orders.iter().any(|order| order.iccid == iccid && order.state == ProfileState::Installed))
    }

    /// Returns the enabled profile, as the eUICC lists it.
    ///
    /// # Errors
    /// There is no list.
    pub(super) async fn enabled(&mut self) -> Result<Option<Iccid>, Stop> {
        let results = self.executed(&[ProfileOperation::ListProfileInfo {}]).await?;
        let [EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(list))] =
            results.as_slice()
        else {
            return Err(Stop::failed(format!("the results are {results:?}, expected a list of profiles")));
        };
        let is_enabled =
            |profile: &&ProfileInfo| profile.profile_state == Some(rsp::sgp22::ProfileState::ENABLED);
        Ok(list.iter().find(is_enabled).and_then(|profile| profile.iccid))
    }
}

/// Returns the results of the operations of a package. The eIM has verified the signature.
///
/// # Errors
/// The outcome is another one.
pub(super) fn results_of(outcome: &Outcome) -> Result<Vec<EuiccResultData>, Stop> {
    let Outcome::EuiccPackage(octets) = outcome else {
        return Err(Stop::failed(format!("the IPA returned {outcome:?}, expected the result of the eUICC")));
    };
    match EuiccPackageResult::from_der(&octets.0).map_err(unreadable)? {
        EuiccPackageResult::EuiccPackageResultSigned(signed) => {
            let entries = signed.euicc_package_result_data_signed.into_value().euicc_result;
            let decoded = entries.iter().map(|entry| entry.decode().map(|entry| entry.into_value()));
            decoded.collect::<Result<_, _>>().map_err(unreadable)
        }
        other => Err(Stop::failed(format!("the eUICC refused the package: {other:?}"))),
    }
}

fn unreadable(error: rsp::der::DecodeError) -> Stop {
    Stop::failed(format!("the result cannot be decoded: {error}"))
}
