//! Tests of complete downloads.

use super::*;

// req: SGP.22-2.5-Ppk
#[tokio::test]
async fn a_download_installs_the_profile_on_both_curves_with_both_protections() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for protection in [Protection::SessionKeys, Protection::ProfileProtectionKeys] {
            let testbed = Testbed::new();
            let code = testbed.released(&ProfileOptions { protection, ..options() }).await;
            let euicc = testbed.euicc_on(curve);
            let dp = testbed.pki.dp(curve).unwrap();

            let first = euicc.initiate(&testbed.server).await;
            let signature = crypto::Signature::from_slice(&first.server_signature1).unwrap();
            dp.auth.certificate.public_key().verify(first.server_signed1.bytes(), &signature).unwrap();
            assert_eq!(first.server_certificate.0, dp.auth.certificate.der());
            assert_eq!(first.server_signed1.server_address, ADDRESS);
            assert_eq!(first.server_signed1.transaction_id, first.transaction_id);

            let request = euicc.authenticate(&first, &code).request().unwrap();
            let second = call::<AuthenticateClient>(&testbed.server, &request).await.done();
            assert_eq!(second.smdp_certificate.0, dp.pb.certificate.der());
            assert!(!second.smdp_signed2.cc_required_flag);
            assert_eq!(second.smdp_signed2.bpp_euicc_otpk, None, "nothing is bound yet");

            let key = euicc.one_time_key();
            let third = euicc.get(&testbed.server, &euicc.prepare(&second, &key)).await.done();
            let opened = euicc.open(&third.bound_profile_package.0, dp.pb.certificate.public_key(), &key);
            assert_eq!(opened.channel.transaction_id, first.transaction_id);
            assert_eq!(opened.configure.dp_proprietary_data.unwrap().dp_oid, smdp_oid());
            assert_eq!(opened.metadata, second.profile_metadata);
            assert_eq!(opened.metadata.iccid, iccid());
            assert_eq!(opened.package, package(ICCID, &[]));
            assert_eq!(opened.ppk, protection == Protection::ProfileProtectionKeys);
            assert_eq!(testbed.state().await, ProfileState::Downloaded);

            let result = euicc.signed_result(euicc.result(&first.transaction_id, iccid(), true));
            assert_eq!(notify(&testbed.server, result).await, 204);
            assert_eq!(testbed.state().await, ProfileState::Installed);
        }
    }
}

#[tokio::test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
async fn the_published_test_profiles_are_delivered_unchanged() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48");
    let mut delivered = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("TS48v7") || !name.ends_with(".der") {
            continue;
        }
        let testbed = Testbed::new();
        let package = std::fs::read(&file).unwrap();
        let iccid = testbed.server.add_profile(&package, &options()).await.unwrap();
        let operator = testbed.operator();
        operator.download_order(&testbed.server, Some(iccid), None, None).await.done();
        let confirmation = operator.confirmation(iccid);
        let code = operator
            .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(&testbed.server, "confirmOrder", &confirmation)
            .await
            .done()
            .matching_id;
        let mut euicc = testbed.euicc();
        euicc.info2.uicc_capability = BitString::of(&(0..32).collect::<Vec<_>>());
        let key = euicc.one_time_key();
        let (_, bpp) = euicc.download(&testbed.server, &code, &key).await;
        let pb = testbed.pki.dp(Curve::P256).unwrap().pb.certificate;
        assert_eq!(euicc.open(&bpp, pb.public_key(), &key).package, package, "{name}");
        delivered += 1;
    }
    assert_eq!(delivered, 4);
}

// req: SGP.22-5.5.3-Segments
#[tokio::test]
async fn long_metadata_is_sent_in_several_segments() {
    let testbed = Testbed::new();
    let notifications = (0..40)
        .map(|number| rsp::sgp22::NotificationConfigurationInformation {
            profile_management_operation: BitString::of(&[notification_event::ENABLE]),
            notification_address: format!("notify-{number}.landfall.example"),
        })
        .collect();
    let code = testbed.released(&ProfileOptions { notifications: Some(notifications), ..options() }).await;
    let euicc = testbed.euicc();
    let key = euicc.one_time_key();
    let (_, bpp) = euicc.download(&testbed.server, &code, &key).await;
    let pb = testbed.pki.dp(Curve::P256).unwrap().pb.certificate;
    let opened = euicc.open(&bpp, pb.public_key(), &key);
    assert!(opened.metadata_segments > 1);
    assert_eq!(opened.metadata, testbed.profile().await.metadata);
}

#[tokio::test]
async fn any_number_of_servers_share_one_set_of_records() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let other = testbed.second_server();
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    let second = call::<AuthenticateClient>(&other, &euicc.authenticate(&first, &code).request().unwrap())
        .await
        .done();
    let key = euicc.one_time_key();
    euicc.get(&testbed.server, &euicc.prepare(&second, &key)).await.done();
    let result = euicc.signed_result(euicc.result(&first.transaction_id, iccid(), true));
    assert_eq!(notify(&other, result).await, 204);
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_session_keeps_its_ci_if_several_are_on_the_same_curve() {
    let pki = |seed: &[u8], oid: &str| {
        let options = PkiOptions { smdp_oid: oid.parse().unwrap(), ..PkiOptions::default() };
        Pki::from_seed(seed, &options).unwrap()
    };
    let pkis = [pki(b"one CI", "2.999.10"), pki(b"another CI", "2.999.12")];
    let [one, another] = pkis.each_ref().map(|pki| Credentials::from_pki(pki).unwrap());
    for (pki, oid) in pkis.iter().zip(["2.999.10", "2.999.12"]) {
        let mut testbed = Testbed::new();
        testbed.pki = pki.clone();
        testbed.server = SmDpPlus::new(
            Config::new(ADDRESS.parse().unwrap()),
            one.clone().and(another.clone()).unwrap(),
            Arc::clone(&testbed.records),
            World::new(testbed.clock.clone(), testbed.random.branch("two CIs")),
            Arc::new(testbed.events.clone()),
        );
        let code = testbed.released(&options()).await;
        let (euicc, dp) = (testbed.euicc(), pki.dp(Curve::P256).unwrap());
        let first = euicc.initiate(&testbed.server).await;
        assert_eq!(first.server_certificate.0, dp.auth.certificate.der());
        let request = euicc.authenticate(&first, &code).request().unwrap();
        let second = call::<AuthenticateClient>(&testbed.server, &request).await.done();
        assert_eq!(second.smdp_certificate.0, dp.pb.certificate.der());
        let key = euicc.one_time_key();
        let third = euicc.get(&testbed.server, &euicc.prepare(&second, &key)).await.done();
        let opened = euicc.open(&third.bound_profile_package.0, dp.pb.certificate.public_key(), &key);
        assert_eq!(opened.configure.dp_proprietary_data.unwrap().dp_oid, oid.parse().unwrap());
        let mut result = euicc.result(&first.transaction_id, iccid(), true);
        result.smdp_oid = Some(oid.parse().unwrap());
        assert_eq!(notify(&testbed.server, euicc.signed_result(result)).await, 204);
        assert_eq!(testbed.state().await, ProfileState::Installed);
    }
}

#[tokio::test]
async fn unknown_elements_of_later_versions_are_ignored_but_covered_by_the_signature() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let mut euicc = testbed.euicc();
    euicc.info2.uicc_capability = BitString::of(&(0..70).collect::<Vec<_>>());
    euicc.info2.rsp_capability = BitString::of(&(0..40).collect::<Vec<_>>());

    let proof = euicc.authenticate(&euicc.initiate(&testbed.server).await, &code);
    let request = proof.request_with(with_later_elements(&*proof.signed().unwrap()));
    let ok = call::<AuthenticateClient>(&testbed.server, &request).await.done();
    let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::POSTPONED);
    let request = cancel.request_with(with_later_elements(&cancel.signed));
    call::<CancelSession>(&testbed.server, &request).await.done();

    let proof = euicc.authenticate(&euicc.initiate(&testbed.server).await, &code);
    let request = proof.request_with(with_later_elements(&*proof.signed().unwrap()));
    let ok = call::<AuthenticateClient>(&testbed.server, &request).await.done();
    let prepare = euicc.prepare(&ok, &euicc.one_time_key());
    let request = prepare.request_with(with_later_elements(&prepare.signed));
    call::<GetBoundProfilePackage>(&testbed.server, &request).await.done();
    let data = with_later_elements(&euicc.result(&ok.transaction_id, iccid(), true));
    assert_eq!(notify(&testbed.server, euicc.signed_result_with(data)).await, 204);
    assert_eq!(testbed.state().await, ProfileState::Installed);
    let PendingNotification::OtherSignedNotification(enabled) =
        euicc.notification(2, notification_event::ENABLE, iccid())
    else {
        unreachable!()
    };
    let enabled = euicc.notification_with(with_later_elements(&*enabled.tbs_other_notification));
    notify(&testbed.server, PendingNotification::OtherSignedNotification(enabled)).await;
    assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 2);
}
