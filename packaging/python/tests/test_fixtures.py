"""The fixtures against the real binary."""

import json
import ssl
import urllib.request

import pytest

from pytest_landfall import Device, Fleet, LandfallError, Network, Order, Servers, SmDp


def test_a_device_swaps_to_a_new_profile(sm_dp: SmDp, order: Order, device: Device, network: Network) -> None:
    first = device.download(order)
    assert (first.iccid, first.notified) == (order.iccid, True)
    device.enable(first.iccid)
    assert device.register().plmn == network.plmn
    second = sm_dp.order()
    moved = device.move(second)
    assert (moved.iccid, moved.service) == (second.iccid, "home")
    states = {profile.iccid: profile.state for profile in device.profiles()}
    assert states == {order.iccid: "disabled", second.iccid: "enabled"}
    installed = sm_dp.find(second.iccid)
    assert (installed.state, installed.handed_to) == ("Installed", device.eid)
    sm_dp.end(second.iccid)
    assert any((event.interface, event.function) == ("ES9+", "GetBoundProfilePackage") for event in device.events)


def test_a_profile_can_be_disabled_and_deleted(order: Order, device: Device) -> None:
    device.download(order)
    device.enable(order.iccid)
    device.disable(order.iccid)
    device.delete(order.iccid)
    device.notify()
    assert device.profiles() == []


def test_a_wrong_confirmation_code_is_refused(sm_dp: SmDp, device: Device) -> None:
    order = sm_dp.order(confirmation_code="1234")
    with pytest.raises(LandfallError, match="the profile was not downloaded") as refusal:
        device.download(order, confirmation_code="4321")
    assert refusal.value.error["kind"] == "refused"
    status = refusal.value.error["status"]
    assert (status["subject"], status["reason"]) == ("8.2.7", "3.8")
    assert device.download(order, confirmation_code="1234").iccid == order.iccid
    sm_dp.end(order.iccid)


def test_an_order_for_another_euicc_is_refused(sm_dp: SmDp, device: Device) -> None:
    order = sm_dp.order(eid="89049032000000000000000000000163")
    with pytest.raises(LandfallError, match="the profile was not downloaded"):
        device.download(order)
    assert sm_dp.find(order.iccid).state == "Released"
    sm_dp.end(order.iccid)


def test_the_sm_dp_refuses_a_taken_matching_id(sm_dp: SmDp, order: Order) -> None:
    with pytest.raises(LandfallError, match="status 409"):
        sm_dp.order(matching_id=order.matching_id)


def test_a_third_party_client_trusts_the_ca_certificate(sm_dp: SmDp, landfall: Servers) -> None:
    """A TLS client of another implementation reaches ES9+ and gets the error of SGP.22."""
    context = ssl.create_default_context(cadata=sm_dp.ca_certificate_pem)
    url = f"https://{sm_dp.address}/gsma/rsp2/es9plus/initiateAuthentication"
    headers = {"Content-Type": "application/json", "X-Admin-Protocol": "gsma/rsp/v2.6.0"}
    body = {"smdpAddress": sm_dp.address, "euiccChallenge": "AAAAAAAAAAAAAAAAAAAAAA==", "euiccInfo1": "vyAA"}
    call = urllib.request.Request(url, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(call) as response:
        status = json.load(response)["header"]["functionExecutionStatus"]
    assert status["status"] == "Failed"
    assert "InitiateAuthentication" in landfall.process.log.read_text()


def test_a_fleet_lists_the_imported_devices(fleet: Fleet) -> None:
    eid = "89049032000000000000000000000163"
    assert fleet.devices() == []
    fleet.import_devices(f"eid,label,network,home,since\n{eid},meter,724-05,234-15,2026-08-30\n")
    assert [device["eid"] for device in fleet.devices()] == [eid]
    assert len(fleet.token(eid)) == 64
