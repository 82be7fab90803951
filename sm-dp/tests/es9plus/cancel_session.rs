//! Tests of ES9+.CancelSession: section 5.6.5.

use super::*;

// req: SGP.22-5.6.5-Reason
#[tokio::test]
async fn only_temporary_cancel_reasons_keep_the_order() {
    use CancelSessionReason as Reason;
    for (reason, after) in [
        (Reason::POSTPONED, ProfileState::Released),
        (Reason::TIMEOUT, ProfileState::Released),
        (Reason::SESSION_ABORTED, ProfileState::Released),
        (Reason::END_USER_REJECTION, ProfileState::Error),
        (Reason::PPR_NOT_ALLOWED, ProfileState::Error),
        (Reason::METADATA_MISMATCH, ProfileState::Error),
        (Reason::LOAD_BPP_EXECUTION_ERROR, ProfileState::Error),
        (Reason::UNDEFINED_REASON, ProfileState::Error),
        (Reason::ENTERPRISE_RULES_ERROR, ProfileState::Error),
        (Reason::LPR_NOT_SUPPORTED, ProfileState::Error),
        (Reason::EMPTY_PROFILE_OR_SP_NAME, ProfileState::Error),
        (Reason::OPERATION_ABANDONED, ProfileState::Error),
        (CancelSessionReason(99), ProfileState::Error),
    ] {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let request = euicc.cancel(&ok.transaction_id, reason).request();
        call::<CancelSession>(&testbed.server, &request).await.done();
        assert_eq!(testbed.state().await, after, "{reason}");
        // The session no longer exists.
        assert_eq!(
            call::<CancelSession>(&testbed.server, &request).await.refused(),
            Status::TransactionUnknown
        );
        let prepare = euicc.prepare(&ok, &euicc.one_time_key());
        assert_eq!(euicc.get(&testbed.server, &prepare).await.refused(), Status::TransactionUnknown);
    }
}

#[tokio::test]
async fn a_session_cancelled_after_the_package_still_accepts_the_result() {
    for (reason, success, after) in [
        (CancelSessionReason::LOAD_BPP_EXECUTION_ERROR, false, ProfileState::Error),
        (CancelSessionReason::POSTPONED, true, ProfileState::Installed),
    ] {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        let request = euicc.cancel(&transaction, reason).request();
        call::<CancelSession>(&testbed.server, &request).await.done();
        notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), success))).await;
        assert_eq!(testbed.state().await, after, "{reason}");
        assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn cancel_session_refuses_each_defect_with_its_status_and_keeps_the_session() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let other_euicc = testbed.numbered_euicc(Curve::P256, 1);
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let id = &ok.transaction_id;
    let unknown = TransactionId(vec![1; 16]);
    let with = |corrupt: &dyn Fn(&mut Cancel)| {
        let mut cancel = euicc.cancel(id, CancelSessionReason::END_USER_REJECTION);
        corrupt(&mut cancel);
        cancel.request()
    };
    let outer = with(&|it| it.outer = unknown.clone());
    let inner = with(&|it| it.signed.transaction_id = unknown.clone());
    let signature = with(&|it| it.corrupt_signature = true);
    let key = with(&|it| it.key = other_euicc.credentials.euicc.key.clone());
    let oid = with(&|it| it.signed.smdp_oid = "2.999.11".parse().unwrap());
    let error = CancelSessionRequestEs9 {
        transaction_id: id.clone(),
        cancel_session_response: CancelSessionResponse::CancelSessionResponseError(
            CancelSessionError::UNDEFINED_ERROR,
        ),
    };
    for (case, request, status) in [
        // req: SGP.22-5.6.5-TransactionId
        ("unknown transaction", outer, Status::TransactionUnknown),
        // req: SGP.22-5.6.5-SignedTransactionId
        ("another TransactionID in the signed data", inner, Status::TransactionUnknown),
        // req: SGP.22-5.6.5-Signature
        ("a wrong signature", signature, Status::EuiccVerificationFailed),
        ("another eUICC's key", key, Status::EuiccVerificationFailed),
        // req: SGP.22-5.6.5-Oid
        ("another SM-DP+", oid, Status::SmdpOidMismatch),
        // req: SGP.22-5.6.5-EuiccError
        ("an error of the eUICC", error, Status::EuiccVerificationFailed),
    ] {
        assert_eq!(call::<CancelSession>(&testbed.server, &request).await.refused(), status, "{case}");
        assert_eq!(testbed.state().await, ProfileState::Released, "{case}");
    }
    euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
}
