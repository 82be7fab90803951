//! Protocol violations that a party commits on purpose, as data. Their fault names begin with
//! `tamper/`.

use certs::m2m::CardDefect;
use certs::{Defect, Role};
use serde::Deserialize;

/// A deliberate protocol violation by one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseStatement {
    /// By an SM-DP+, about the session.
    Server(FalseServerStatement),
    /// By an SM-DP+, about the profile: in the profile metadata of ES9+.AuthenticateClient, in the
    /// package, or in both.
    Metadata(FalseMetadata),
    /// By an SM-DP+, in the binding of the package.
    Package(FalsePackage),
    /// By an SM-DP+, in the profile elements of the package.
    Element(FalseElement),
    /// By a card.
    Card(FalseCardStatement),
    /// Between servers of SGP.02, or by one of them to a card.
    M2m(FalseM2mStatement),
    /// By an eIM, in an answer to the IPA.
    Eim(FalseEimStatement),
    /// By an IoT card or its IPA, in a request to the eIM.
    Iot(FalseIotStatement),
    /// A certificate with a defect, presented as a valid one.
    Certificate(Role, Defect),
}

/// A false statement of an SM-DP+ about the session. Each variant names the element that is
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseServerStatement {
    /// transactionId outside the signed data, in any function.
    Transaction,
    /// serverSigned1.transactionId.
    Signed1Transaction,
    /// serverSigned1.euiccChallenge.
    Signed1Challenge,
    /// serverSigned1.serverAddress.
    Signed1Address,
    /// serverSigned1.serverChallenge.
    Signed1ServerChallenge,
    /// serverSignature1.
    Signature1,
    /// euiccCiPKIdToBeUsed.
    CiToBeUsed,
    /// smdpSigned2.transactionId.
    Signed2Transaction,
    /// smdpSigned2.ccRequiredFlag.
    Signed2Code,
    /// smdpSigned2.bppEuiccOtpk.
    Signed2Otpk,
    /// smdpSignature2.
    Signature2,
    /// smdpSignature2, computed over another euiccSignature1.
    Signature2OverOther,
    /// smdpSignature2, made with the key of CERT.DPauth.
    Signature2ByDpauth,
}

/// A false statement of an SM-DP+ about the profile. If it is made in only
/// one of ES9+.AuthenticateClient and the package, the two contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseMetadata {
    /// Another ICCID.
    Iccid,
    /// Another profileName.
    Name,
    /// serviceProviderName of 33 octets.
    ProviderTooLong,
    /// profileName of 65 octets.
    NameTooLong,
    /// iconType without an icon.
    NoIcon,
    /// profileClass is test.
    Test,
    /// profileClass has an undefined value.
    UnknownClass,
    /// A policy rule (PPR2) without a profileOwner.
    RuleWithoutOwner,
    /// PPR1, although there is another operational profile.
    RuleNotAlone,
    /// Another operator as profileOwner.
    Owner,
    /// A GID1 that the profile does not have.
    Group,
    /// A notificationAddress that is not a valid name.
    Address,
}

/// A defect in the binding of a package by an SM-DP+.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalsePackage {
    /// remoteOpId.
    RemoteOperation,
    /// transactionId of InitialiseSecureChannel.
    Transaction,
    /// controlRefTemplate.keyType.
    KeyType,
    /// controlRefTemplate.keyLen.
    KeyLength,
    /// controlRefTemplate.hostId of no octets.
    NoHostId,
    /// controlRefTemplate.hostId of 17 octets.
    LongHostId,
    /// smdpOtpk is not a point on the curve.
    NoPoint,
    /// smdpOtpk does not belong to the key that protects the package.
    OtherOtpk,
    /// smdpSign is invalid.
    Signature,
    /// smdpSign, made with the key of CERT.DPauth.
    SignatureByDpauth,
    /// smdpSign, computed over another euiccOtpk.
    SignatureOverOther,
    /// The session keys are derived for another EID.
    OtherCard,
    /// Another request in the place of ConfigureISDP.
    Configure,
    /// dpProprietaryData of more than 128 octets.
    LongProprietaryData,
    /// ConfigureISDP is missing.
    NoConfigure,
    /// StoreMetadata is missing.
    NoMetadata,
    /// StoreMetadata was changed after its MAC was computed.
    MetadataMac,
    /// ReplaceSessionKeys with keys of another length.
    ShortKeys,
    /// ReplaceSessionKeys with other keys than those that protect the profile.
    OtherKeys,
    /// A segment has an invalid MAC.
    Mac,
    /// Two segments are swapped.
    Swapped,
    /// A segment is repeated.
    Doubled,
    /// A segment is missing.
    Missing,
    /// The last segment is missing.
    Short,
    /// A segment without valid padding, with a valid MAC.
    NoPadding,
    /// A segment whose ciphertext is not a multiple of the block length, with a valid MAC.
    NoBlocks,
    /// A segment without contents, with a valid MAC.
    Empty,
    /// A segment of more than 1020 octets, with a valid MAC.
    Long,
}

/// A defect of the profile elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseElement {
    /// The header has another ICCID than the metadata.
    HeaderIccid,
    /// EF.ICCID has another ICCID than the header and the metadata.
    EfIccid,
    /// The header element is missing.
    NoHeader,
    /// The end element is missing.
    NoEnd,
    /// An element follows the end.
    AfterEnd,
    /// The header has a later major version.
    Version,
    /// A mandatory service that the card does not have.
    Service,
    /// An unknown element that is mandated.
    Unknown,
    /// The package contains no profile element.
    Garbage,
}

/// A false statement of a card. Each variant names the element that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseCardStatement {
    /// transactionId outside the signed data, in any function.
    Transaction,
    /// euiccSigned1.transactionId.
    Signed1Transaction,
    /// euiccSigned1.serverChallenge.
    Signed1Challenge,
    /// euiccSigned1.serverAddress.
    Signed1Address,
    /// euiccSigned1.euiccInfo2 declares that there is no free memory.
    Signed1NoMemory,
    /// euiccSigned1.euiccInfo2 declares no support of the USIM.
    Signed1NoUsim,
    /// euiccSigned1.ctxParams1.matchingId.
    Signed1MatchingId,
    /// euiccSignature1.
    Signature1,
    /// euiccSigned2.transactionId.
    Signed2Transaction,
    /// euiccSigned2.euiccOtpk is not a point on the curve.
    Signed2NoPoint,
    /// euiccSigned2.euiccOtpk is a key whose private key the card does not have.
    Signed2Otpk,
    /// euiccSignature2.
    Signature2,
    /// euiccSignature2 does not cover smdpSignature2.
    Signature2Alone,
    /// euiccCancelSessionSigned.transactionId.
    CancelTransaction,
    /// euiccCancelSessionSigned.smdpOid.
    CancelOid,
    /// euiccCancelSessionSignature.
    CancelSignature,
    /// ProfileInstallationResultData.transactionId.
    ResultTransaction,
    /// ProfileInstallationResultData.smdpOid.
    ResultOid,
    /// ProfileInstallationResultData.smdpOid is missing.
    ResultNoOid,
    /// ProfileInstallationResultData.notificationMetadata.iccid.
    ResultIccid,
    /// ProfileInstallationResultData.notificationMetadata.iccid is missing.
    ResultNoIccid,
    /// ProfileInstallationResultData.notificationMetadata.profileManagementOperation.
    ResultEvent,
    /// ProfileInstallationResultData.notificationMetadata.seqNumber.
    ResultNumber,
    /// ProfileInstallationResultData.notificationMetadata.notificationAddress.
    ResultAddress,
    /// ProfileInstallationResultData.finalResult reports an error instead of a success, or the
    /// reverse.
    ResultOutcome,
    /// euiccSignPIR.
    ResultSignature,
    /// tbsOtherNotification.iccid.
    NotificationIccid,
    /// tbsOtherNotification.iccid is missing.
    NotificationNoIccid,
    /// tbsOtherNotification.profileManagementOperation reports a deletion.
    NotificationDeleted,
    /// euiccNotificationSignature.
    NotificationSignature,
    /// The notification has the certificates of another card.
    NotificationOtherCard,
}

/// A false statement between servers of SGP.02. Each variant names the message or the object in it,
/// and what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseM2mStatement {
    /// EIS: it belongs to a card with another EID, and the EUM has signed it.
    EisEid,
    /// EIS: another SM-SR manages the card.
    EisSmsr,
    /// EIS: the card has no free memory.
    EisMemory,
    /// EIS: platformType was changed after the EUM signed.
    EisChanged,
    /// EIS: the signature of the EUM is invalid.
    EisSignature,
    /// EIS: it is signed with the key of an SM-DP+ instead of that of the EUM.
    EisByStranger,
    /// EIS: the certificate of the EUM that signed it has a defect.
    EisEum(Defect),
    /// EIS: the certificate of the ECASD has a defect, but the EUM has signed it.
    Ecasd(CardDefect),
    /// Answer to CreateISDP: it contains another AID than that of the created ISD-P.
    IsdpAid,
    /// Answer to SendData: the random challenge is not that of the ECASD.
    Challenge,
    /// Answer to SendData: the receipt is not that of the card.
    Receipt,
    /// Answer to SendData: the last command is reported as failed.
    StatusWord,
    /// Answer to EnableProfile: it reports a failure, although the profile was enabled.
    NotEnabled,
    /// SendData: the certificate of the SM-DP has a defect.
    Certificate(CardDefect),
    /// SendData: the signature of the SM-DP over its one-time key is invalid.
    Signature,
}

/// A false statement of an eIM. Each variant names the element that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseEimStatement {
    /// EuiccPackageSigned.eimTransactionId.
    Transaction,
    /// EuiccPackageSigned.eimId.
    EimId,
    /// EuiccPackageSigned.eidValue.
    Eid,
    /// EuiccPackageSigned.counterValue is that of the package before.
    CounterReplayed,
    /// EuiccPackageSigned.counterValue is higher by 2 than that of the package before.
    CounterSkipped,
    /// EuiccPackageSigned.counterValue is over its maximum.
    CounterOverLimit,
    /// EuiccPackageSigned.euiccPackage has an unknown operation in the place of the first one.
    Operation,
    /// eimSignature covers another association token.
    Token,
    /// eimSignature.
    Signature,
    /// The answer to GetEimPackage has a package of an unknown type.
    PackageType,
    /// The activation code in ProfileDownloadTriggerRequest has another MatchingID.
    MatchingId,
    /// The answer to ProvideEimPackageResult acknowledges another number.
    AcknowledgedNumber,
    /// The answer to ProvideEimPackageResult acknowledges nothing.
    NoAcknowledgement,
    /// transactionId outside the signed data.
    SessionTransaction,
    /// profileMetadata has another profileName.
    MetadataName,
}

/// A false statement of an IoT card or of its IPA. Each variant names the element that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FalseIotStatement {
    /// eidValue of the request.
    Eid,
    /// associationToken of IpaEuiccData.
    DataToken,
    /// EuiccPackageResultDataSigned.eimId.
    ResultEimId,
    /// EuiccPackageResultDataSigned.counterValue.
    ResultCounter,
    /// EuiccPackageResultDataSigned.eimTransactionId.
    ResultTransaction,
    /// EuiccPackageResultDataSigned.seqNumber.
    ResultNumber,
    /// EuiccPackageResultDataSigned.euiccResult has no result.
    NoResult,
    /// euiccSignEPR covers another association token.
    ResultToken,
    /// euiccSignEPR.
    ResultSignature,
    /// The result is of an unknown type.
    ResultType,
}
