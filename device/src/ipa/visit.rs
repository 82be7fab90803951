//! The visit of an eIM: ESipa.GetEimPackage until the eIM has no package. SGP.32 sections 3.1.1.1 and
//! 5.14.5.

use rsp::der::Null;
use rsp::ids::{Plmn, TransactionId};
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::esipa::{
    EimPackageError, EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError,
    GetEimPackageRequest, GetEimPackageResponse,
};
use world::CardInterface;

use super::esipa::EsipaError;
use super::report::{CheckIn, ExecutedPackage, ResultDelivery, Visit, VisitEnd};
use super::{Connectivity, Ipa, IpaError, MAX_PACKAGES};

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Polls an eIM and executes its packages until it has none, or until a result is not delivered.
    pub(super) async fn visit(
        &mut self,
        eim: &EimConfigurationData,
        report: &mut CheckIn,
    ) -> Result<(), IpaError> {
        let mut visit =
            Visit { eim_id: eim.eim_id.clone(), packages: Vec::new(), end: VisitEnd::Interrupted };
        let done = self.visit_with(eim, &mut visit, report).await;
        report.visits.push(visit);
        done
    }

    async fn visit_with(
        &mut self,
        eim: &EimConfigurationData,
        visit: &mut Visit,
        report: &mut CheckIn,
    ) -> Result<(), IpaError> {
        for _ in 0..MAX_PACKAGES {
            let executed = match self.poll(eim).await? {
                Ok(GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE)) => {
                    visit.end = VisitEnd::NoPackage;
                    return Ok(());
                }
                Ok(GetEimPackageResponse::EimPackageError(code)) => {
                    visit.end = VisitEnd::Refused(code.to_string());
                    return Ok(());
                }
                Ok(GetEimPackageResponse::EuiccPackageRequest(package)) => {
                    self.euicc_package(eim, &package, report).await?
                }
                Ok(GetEimPackageResponse::IpaEuiccDataRequest(request)) => {
                    self.ipa_euicc_data(eim, &request).await?
                }
                Ok(GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger)) => {
                    self.profile_download(eim, &trigger, report).await?
                }
                Err(error @ EsipaError::Answer { .. }) => {
                    // req: SGP.32-3.3.1-InvalidFormat
                    // The eIM would send the same package again, so the visit ends.
                    let why = error.to_string();
                    let code = EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT;
                    visit.packages.push(self.refuse(eim, "eIM package", None, code).await?);
                    visit.end = VisitEnd::Failed(why);
                    return Ok(());
                }
                Err(error) => {
                    visit.end = VisitEnd::Failed(error.to_string());
                    return Ok(());
                }
            };
            let is_delivered = executed.delivery == ResultDelivery::Delivered;
            visit.packages.push(executed);
            if !is_delivered {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls ESipa.GetEimPackage. The first call after a change reports the change.
    async fn poll(
        &mut self,
        eim: &EimConfigurationData,
    ) -> Result<Result<GetEimPackageResponse, EsipaError>, IpaError> {
        // req: SGP.32-5.14.5-Ipa
        let cause = self.state.state_changes.get(&eim.eim_id).copied();
        let request = GetEimPackageRequest {
            eid_value: self.eid().await?,
            notify_state_change: cause.map(|_| Null),
            state_change_cause: cause,
            r_plmn: self.connectivity.network().map(Plmn::to_bytes),
        };
        let response = match self.esipa(eim) {
            Ok(mut esipa) => esipa.get_eim_package(request).await,
            Err(error) => Err(error),
        };
        if response.is_ok() {
            self.remember(|state| {
                state.state_changes.remove(&eim.eim_id);
            })?;
        }
        Ok(response)
    }

    /// Informs the eIM that the IPA cannot process a package.
    pub(super) async fn refuse(
        &mut self,
        eim: &EimConfigurationData,
        package: &'static str,
        eim_transaction_id: Option<TransactionId>,
        code: EimPackageResultErrorCode,
    ) -> Result<ExecutedPackage, IpaError> {
        let result = EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
            eim_transaction_id: eim_transaction_id.clone(),
            eim_package_result_error_code: code,
        });
        let delivery = self.provide(eim, result).await?;
        Ok(ExecutedPackage { package, eim_transaction_id, results: vec![code.to_string()], delivery })
    }
}
