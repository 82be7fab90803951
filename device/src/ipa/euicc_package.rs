//! Packages for the eUICC: SGP.32 section 3.3.1. The results that an eIM has not acknowledged are
//! delivered again at the next check-in, also after a loss of power.

use rsp::der::{Null, Opaque, Raw};
use rsp::ids::Iccid;
use rsp::sgp32::es10b::NotificationSearch;
use rsp::sgp32::esipa::{
    EimAcknowledgements, EimPackageResult, EprAndNotifications, ProvideEimPackageResultRequest,
    ProvideEimPackageResultResponse,
};
use rsp::sgp32::notification::PendingNotificationList;
use rsp::sgp32::package::Enable;
use rsp::sgp32::result::{AddEimResult, DeleteEimResult, DisableProfileResult, EnableProfileResult};
use rsp::sgp32::{
    EimConfigurationData, EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccResultData,
    PendingNotification, Psmo, StateChangeCause,
};
use world::{CardInterface, Outcome};

use super::report::{CheckIn, ExecutedPackage, ResultDelivery};
use super::{Connectivity, Ipa, IpaError};
use crate::es10::RetrievedList;

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Executes a package, and delivers its result. If the package permits a rollback and the result
    /// cannot be delivered, the former profile is enabled again, and the result of the rollback is
    /// delivered.
    pub(super) async fn euicc_package(
        &mut self,
        eim: &EimConfigurationData,
        package: &Raw<EuiccPackageRequest>,
        report: &mut CheckIn,
    ) -> Result<ExecutedPackage, IpaError> {
        if permits_rollback(package) {
            // Stored first: after a loss of power the IPA must know that it may have to roll back.
            self.remember(|state| state.awaits_delivery = Some(eim.eim_id.clone()))?;
        }
        let result = match self.es10().load_euicc_package(package).await {
            Ok(result) => result,
            Err(error) => {
                // If the eUICC executed the package, it has kept the result.
                self.reset().await?;
                return Err(error.into());
            }
        };
        let mut executed = ExecutedPackage {
            package: "EuiccPackageRequest",
            eim_transaction_id: package.euicc_package_signed.eim_transaction_id.clone(),
            results: descriptions(&result),
            delivery: ResultDelivery::Delivered,
        };
        let may_roll_back = permits_rollback(package) && changes_enabled_profile(&result);
        if !may_roll_back {
            self.remember(|state| state.awaits_delivery = None)?;
        }
        // The REFRESH ends an IPA inside the card, so the effects are stored before it.
        if let Err(error) = self.remember_effects(eim, package, &result).await {
            // The reset takes the place of the REFRESH.
            self.reset().await?;
            return Err(error);
        }
        let is_connected = match changes_enabled_profile(&result) {
            true => self.apply_new_profile(enabled_by(package, &result)).await?,
            false => true,
        };
        let has_psmo = matches!(package.euicc_package_signed.euicc_package, EuiccPackage::PsmoList(_));
        executed.delivery = match is_connected {
            true if may_roll_back => self.deliver_with_retries(eim).await?,
            true => self.provide_result(eim, &result, has_psmo).await?,
            false => ResultDelivery::Failed("the new profile has no service".to_owned()),
        };
        // req: SGP.32-3.3.2-Undeliverable
        if may_roll_back && self.is_rolled_back(&executed.delivery, report).await? {
            executed.results.push("rolled back".to_owned());
            executed.delivery = self.deliver_results_of(eim).await?;
        }
        Ok(executed)
    }

    /// Rolls back if the result of a package that permits it was not delivered. Returns false if
    /// the new profile stays.
    async fn is_rolled_back(
        &mut self,
        delivery: &ResultDelivery,
        report: &mut CheckIn,
    ) -> Result<bool, IpaError> {
        if !matches!(delivery, ResultDelivery::Failed(_)) {
            self.remember(|state| state.awaits_delivery = None)?;
            return Ok(false);
        }
        let is_rolled_back = self.roll_back(report).await?;
        if is_rolled_back {
            self.connect(report).await?;
        }
        Ok(is_rolled_back)
    }

    /// Delivers the results that the eUICC keeps: their delivery or their acknowledgement was lost.
    // req: SGP.32-3.3.1-KeptResults
    pub(super) async fn deliver_kept_results(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        let kept = self.kept_results().await?;
        if kept.is_empty() {
            return Ok(());
        }
        let mut eims = self.es10().get_eim_configuration_data().await?;
        eims.extend(self.state.former_eims());
        for eim in eims {
            if !kept.iter().any(|result| result.eim_id() == eim.eim_id) {
                continue;
            }
            // req: SGP.32-3.3.2-Undeliverable, SGP.32-3.3.2-Ipae
            // A loss of power, or the REFRESH of an IPA inside the card, came before the delivery.
            if self.state.awaits_delivery.as_ref() == Some(&eim.eim_id) {
                let delivery = self.deliver_with_retries(&eim).await?;
                if !self.is_rolled_back(&delivery, report).await? {
                    continue;
                }
            }
            self.deliver_results_of(&eim).await?;
        }
        // A loss of service during the delivery is found by the next registration.
        self.connect(report).await
    }

    /// Delivers the results of one eIM, with as many attempts as the settings allow.
    async fn deliver_with_retries(&mut self, eim: &EimConfigurationData) -> Result<ResultDelivery, IpaError> {
        let mut tried = 1;
        loop {
            let delivery = self.deliver_results_of(eim).await?;
            match delivery {
                ResultDelivery::Failed(_) if tried < self.settings.delivery_tries => {}
                _ => return Ok(delivery),
            }
            tried = tried.saturating_add(1);
            self.pause_before(tried).await;
        }
    }

    /// Delivers the results of one eIM, first to last, until one is not delivered.
    async fn deliver_results_of(&mut self, eim: &EimConfigurationData) -> Result<ResultDelivery, IpaError> {
        for result in self.kept_results().await? {
            if result.eim_id() != eim.eim_id {
                continue;
            }
            let delivery = self.provide_result(eim, &result, true).await?;
            if delivery != ResultDelivery::Delivered {
                return Ok(delivery);
            }
        }
        self.remember(|state| state.remove_former_eim(&eim.eim_id))?;
        Ok(ResultDelivery::Delivered)
    }

    /// Returns the results that the eUICC keeps.
    async fn kept_results(&mut self) -> Result<Vec<Raw<EuiccPackageResult>>, IpaError> {
        let search = NotificationSearch::EuiccPackageResults(Null);
        Ok(match self.es10().retrieve_notifications_list(Some(search)).await? {
            RetrievedList::EuiccPackageResults(list) => {
                list.iter().filter_map(|result| result.decode().ok()).collect()
            }
            RetrievedList::Notifications(_) => Vec::new(),
        })
    }

    /// Delivers a result with the pending notifications, if there are any.
    // req: SGP.32-3.3.1-Notifications
    async fn provide_result(
        &mut self,
        eim: &EimConfigurationData,
        result: &Raw<EuiccPackageResult>,
        with_notifications: bool,
    ) -> Result<ResultDelivery, IpaError> {
        let notifications = match with_notifications {
            true => self.pending_notifications().await?,
            false => Vec::new(),
        };
        // The octets of the eUICC are forwarded unchanged, because they are signed.
        let result = match notifications.is_empty() {
            true => EimPackageResult::EuiccPackageResult(Box::new(result.clone())),
            false => EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
                euicc_package_result: result.clone(),
                notification_list: PendingNotificationList(notifications),
            })),
        };
        self.provide(eim, result).await
    }

    async fn pending_notifications(&mut self) -> Result<Vec<Opaque<PendingNotification>>, IpaError> {
        Ok(match self.es10().retrieve_notifications_list(None).await? {
            RetrievedList::Notifications(list) => list,
            RetrievedList::EuiccPackageResults(_) => Vec::new(),
        })
    }

    /// Calls ESipa.ProvideEimPackageResult, and removes what the eIM acknowledges from the eUICC.
    pub(super) async fn provide(
        &mut self,
        eim: &EimConfigurationData,
        result: EimPackageResult,
    ) -> Result<ResultDelivery, IpaError> {
        let request =
            ProvideEimPackageResultRequest { eid_value: Some(self.eid().await?), eim_package_result: result };
        let answer = match self.esipa(eim) {
            Ok(mut esipa) => esipa.provide_eim_package_result(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(ProvideEimPackageResultResponse::EimAcknowledgements(numbers)) => {
                self.remove_acknowledged(&numbers).await?;
                Ok(ResultDelivery::Delivered)
            }
            Ok(ProvideEimPackageResultResponse::EmptyResponse(_)) => Ok(ResultDelivery::Delivered),
            Ok(ProvideEimPackageResultResponse::ProvideEimPackageResultError(code)) => {
                Ok(ResultDelivery::Refused(code.to_string()))
            }
            Err(error) => Ok(ResultDelivery::Failed(error.to_string())),
        }
    }

    /// Removes exactly the acknowledged notifications and results. One that is not removed is delivered
    /// again, which does no harm.
    // req: SGP.32-3.3.1-Acknowledgements
    async fn remove_acknowledged(&mut self, numbers: &EimAcknowledgements) -> Result<(), IpaError> {
        for number in &numbers.0 {
            if let Err(error) = self.es10().remove_notification_from_list(number.0).await {
                let event = self.events.event("acknowledgement");
                self.events.emit(event.with_outcome(Outcome::Failed(error.to_string())));
            }
        }
        Ok(())
    }

    /// Remembers what the other eIMs must know, and eIMs that the package deleted.
    async fn remember_effects(
        &mut self,
        eim: &EimConfigurationData,
        package: &EuiccPackageRequest,
        result: &EuiccPackageResult,
    ) -> Result<(), IpaError> {
        let EuiccPackageResult::EuiccPackageResultSigned(_) = result else { return Ok(()) };
        if !changes_state(result) {
            return Ok(());
        }
        if matches!(package.euicc_package_signed.euicc_package, EuiccPackage::EcoList(_)) {
            let left = self.es10().get_eim_configuration_data().await?;
            if !left.iter().any(|left| left.eim_id == eim.eim_id) {
                self.remember(|state| state.add_former_eim(eim))?;
            }
        }
        self.remember_change(StateChangeCause::OTHER_EIM, Some(&eim.eim_id)).await
    }
}

/// Returns the results of the operations that can be decoded.
fn operations(result: &EuiccPackageResult) -> Vec<Raw<EuiccResultData>> {
    match result {
        EuiccPackageResult::EuiccPackageResultSigned(result) => {
            let results = &result.euicc_package_result_data_signed.euicc_result;
            results.iter().filter_map(|result| result.decode().ok()).collect()
        }
        EuiccPackageResult::EuiccPackageErrorSigned(_) | EuiccPackageResult::EuiccPackageErrorUnsigned(_) => {
            Vec::new()
        }
    }
}

/// True if the eUICC announced a REFRESH, because the enabled profile changes.
fn changes_enabled_profile(result: &EuiccPackageResult) -> bool {
    operations(result).iter().any(|result| {
        matches!(
            **result,
            EuiccResultData::EnableResult(EnableProfileResult::OK)
                | EuiccResultData::DisableResult(DisableProfileResult::OK)
        )
    })
}

/// Returns the profile that a package enabled.
fn enabled_by(package: &EuiccPackageRequest, result: &EuiccPackageResult) -> Option<Iccid> {
    let EuiccPackage::PsmoList(psmos) = &package.euicc_package_signed.euicc_package else { return None };
    psmos.iter().zip(operations(result)).find_map(|(psmo, result)| match (&*psmo.decode().ok()?, &*result) {
        (Psmo::Enable(enable), EuiccResultData::EnableResult(EnableProfileResult::OK)) => Some(enable.iccid),
        _ => None,
    })
}

/// True if an operation succeeded that changes profiles or eIMs.
fn changes_state(result: &EuiccPackageResult) -> bool {
    use rsp::sgp32::result::{
        ConfigureImmediateEnableResult, DeleteProfileResult, SetFallbackAttributeResult,
        UnsetFallbackAttributeResult, UpdateEimResult,
    };
    operations(result).iter().any(|result| match &**result {
        EuiccResultData::EnableResult(code) => *code == EnableProfileResult::OK,
        EuiccResultData::DisableResult(code) => *code == DisableProfileResult::OK,
        EuiccResultData::DeleteResult(code) => *code == DeleteProfileResult::OK,
        EuiccResultData::ConfigureImmediateEnableResult(code) => *code == ConfigureImmediateEnableResult::OK,
        EuiccResultData::AddEimResult(AddEimResult::AssociationToken(_)) => true,
        EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(code)) => code.0 == 0,
        EuiccResultData::DeleteEimResult(code) => {
            [DeleteEimResult::OK, DeleteEimResult::LAST_EIM_DELETED].contains(code)
        }
        EuiccResultData::UpdateEimResult(code) => *code == UpdateEimResult::OK,
        EuiccResultData::SetFallbackAttributeResult(code) => *code == SetFallbackAttributeResult::OK,
        EuiccResultData::UnsetFallbackAttributeResult(code) => *code == UnsetFallbackAttributeResult::OK,
        EuiccResultData::SetDefaultDpAddressResult(response) => response.set_default_dp_address_result.0 == 0,
        _ => false,
    })
}

/// True if the package enables a profile and permits a rollback.
fn permits_rollback(package: &EuiccPackageRequest) -> bool {
    let EuiccPackage::PsmoList(operations) = &package.euicc_package_signed.euicc_package else {
        return false;
    };
    operations
        .iter()
        .filter_map(|operation| operation.decode().ok())
        .any(|operation| matches!(&*operation, Psmo::Enable(Enable { rollback_flag: Some(_), .. })))
}

/// Describes the result of each operation, or the error of the package.
fn descriptions(result: &EuiccPackageResult) -> Vec<String> {
    match result {
        EuiccPackageResult::EuiccPackageResultSigned(_) => {
            operations(result).iter().map(|result| description(result)).collect()
        }
        EuiccPackageResult::EuiccPackageErrorSigned(error) => {
            vec![error.euicc_package_error_data_signed.euicc_package_error_code.to_string()]
        }
        EuiccPackageResult::EuiccPackageErrorUnsigned(error) => {
            vec![error.euicc_package_unsigned_error_code.map_or_else(
                || "the eUICC does not know the eIM, or the signature is invalid".to_owned(),
                |code| code.to_string(),
            )]
        }
    }
}

fn description(result: &EuiccResultData) -> String {
    match result {
        EuiccResultData::EnableResult(code) => format!("enable {code}"),
        EuiccResultData::DisableResult(code) => format!("disable {code}"),
        EuiccResultData::DeleteResult(code) => format!("delete {code}"),
        EuiccResultData::ListProfileInfoResult(_) => "listProfileInfo".to_owned(),
        EuiccResultData::GetRatResult(_) => "getRAT".to_owned(),
        EuiccResultData::ConfigureImmediateEnableResult(code) => format!("configureImmediateEnable {code}"),
        EuiccResultData::AddEimResult(AddEimResult::AssociationToken(token)) => {
            format!("addEim ok, association token {token}")
        }
        EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(code)) => format!("addEim {code}"),
        EuiccResultData::DeleteEimResult(code) => format!("deleteEim {code}"),
        EuiccResultData::UpdateEimResult(code) => format!("updateEim {code}"),
        EuiccResultData::ListEimResult(_) => "listEim".to_owned(),
        EuiccResultData::RollbackResult(code) => format!("rollback {code}"),
        EuiccResultData::SetFallbackAttributeResult(code) => format!("setFallbackAttribute {code}"),
        EuiccResultData::UnsetFallbackAttributeResult(code) => format!("unsetFallbackAttribute {code}"),
        EuiccResultData::ProcessingTerminated(code) => format!("terminated: {code}"),
        EuiccResultData::SetDefaultDpAddressResult(response) => {
            format!("setDefaultDpAddress {}", response.set_default_dp_address_result)
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::ids::Eid;
    use rsp::sgp32::EuiccPackageSigned;
    use rsp::sgp32::es10b::{SetDefaultDpAddressResponse, SetDefaultDpAddressResult};
    use rsp::sgp32::package::{Delete, Disable};
    use rsp::sgp32::result::{
        AddEimResultCode, ConfigureImmediateEnableResult, DeleteProfileResult, EuiccPackageResultDataSigned,
        EuiccPackageResultSigned, SetFallbackAttributeResult, UnsetFallbackAttributeResult, UpdateEimResult,
    };

    use super::*;

    fn result_of(results: impl IntoIterator<Item = EuiccResultData>) -> EuiccPackageResult {
        let signed = EuiccPackageResultDataSigned {
            eim_id: "eim.example.com".to_owned(),
            counter_value: 1,
            eim_transaction_id: None,
            seq_number: 1,
            euicc_result: results.into_iter().map(|result| Raw::new(result).into()).collect(),
        };
        EuiccPackageResult::EuiccPackageResultSigned(EuiccPackageResultSigned {
            euicc_package_result_data_signed: Raw::new(signed),
            euicc_sign_epr: vec![0; 64],
        })
    }

    /// The results of all operations that change profiles or eIMs.
    fn with_code(code: i64) -> [EuiccResultData; 10] {
        let set_default_dp_address_result = SetDefaultDpAddressResult(code);
        [
            EuiccResultData::EnableResult(EnableProfileResult(code)),
            EuiccResultData::DisableResult(DisableProfileResult(code)),
            EuiccResultData::DeleteResult(DeleteProfileResult(code)),
            EuiccResultData::ConfigureImmediateEnableResult(ConfigureImmediateEnableResult(code)),
            EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(AddEimResultCode(code))),
            EuiccResultData::DeleteEimResult(DeleteEimResult(code)),
            EuiccResultData::UpdateEimResult(UpdateEimResult(code)),
            EuiccResultData::SetFallbackAttributeResult(SetFallbackAttributeResult(code)),
            EuiccResultData::UnsetFallbackAttributeResult(UnsetFallbackAttributeResult(code)),
            EuiccResultData::SetDefaultDpAddressResult(SetDefaultDpAddressResponse {
                set_default_dp_address_result,
            }),
        ]
    }

    #[test]
    fn an_operation_that_succeeds_changes_the_state_and_one_that_fails_does_not() {
        let token = EuiccResultData::AddEimResult(AddEimResult::AssociationToken(7));
        let last = EuiccResultData::DeleteEimResult(DeleteEimResult::LAST_EIM_DELETED);
        for succeeded in with_code(0).into_iter().chain([token, last]) {
            let has_refresh =
                matches!(succeeded, EuiccResultData::EnableResult(_) | EuiccResultData::DisableResult(_));
            let result = result_of([EuiccResultData::GetRatResult(vec![]), succeeded]);
            assert!(changes_state(&result), "{result:?}");
            assert_eq!(changes_enabled_profile(&result), has_refresh, "{result:?}");
        }
        for failed in with_code(127).into_iter().chain([EuiccResultData::GetRatResult(vec![])]) {
            let result = result_of([failed]);
            assert!(!changes_state(&result) && !changes_enabled_profile(&result), "{result:?}");
        }
    }

    #[test]
    fn the_report_has_the_code_of_each_operation() {
        for reported in descriptions(&result_of(with_code(127))) {
            assert!(reported.ends_with("undefined-error(127)"), "{reported}");
        }
    }

    #[test]
    fn the_enabled_profile_is_that_of_the_operation_that_succeeded() {
        let [former, new] = [Iccid([0x98; 10]), Iccid([0x89; 10])];
        let package = |psmos: Vec<Psmo>| EuiccPackageRequest {
            euicc_package_signed: Raw::new(EuiccPackageSigned {
                eim_id: "eim.example.com".to_owned(),
                eid_value: Eid([0x89; 16]),
                counter_value: 1,
                eim_transaction_id: None,
                euicc_package: EuiccPackage::of_psmos(psmos),
            }),
            eim_signature: vec![0; 64],
        };
        let disable = || Psmo::Disable(Disable { iccid: former });
        let enable = |rollback_flag| Psmo::Enable(Enable { iccid: new, rollback_flag });
        let disabled = EuiccResultData::DisableResult(DisableProfileResult::OK);
        let [enabled, not_enabled] =
            [EnableProfileResult::OK, EnableProfileResult::CAT_BUSY].map(EuiccResultData::EnableResult);
        let change = package(vec![disable(), enable(None)]);
        assert_eq!(enabled_by(&change, &result_of([disabled.clone(), enabled])), Some(new));
        assert_eq!(enabled_by(&change, &result_of([disabled, not_enabled])), None);
        assert!(!permits_rollback(&change));
        assert!(permits_rollback(&package(vec![disable(), enable(Some(Null))])));
        assert!(!permits_rollback(&package(vec![Psmo::Delete(Delete { iccid: former })])));
    }
}
