from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lws_sched.admission import certificates
from lws_sched.admission.certificates import LIFETIME_SECONDS, InvalidCertificate

NOW = 1_800_000_000.0
DAY = 86400.0


def test_a_certificate_names_dns_names_and_addresses() -> None:
    issued = certificates.issue(["lws-webhook.lws-system.svc", "127.0.0.1", "::1"], NOW)

    assert issued.names == ("lws-webhook.lws-system.svc", "127.0.0.1", "::1")
    parsed = x509.load_pem_x509_certificate(issued.certificate)
    key = parsed.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_the_authority_can_sign_and_the_serving_certificate_cannot() -> None:
    issued = certificates.issue(["a.svc"], NOW)

    can_sign = {
        pem: x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        for pem in (issued.authority, issued.certificate)
    }
    assert can_sign == {issued.authority: True, issued.certificate: False}


def test_each_certificate_has_an_authority_of_its_own() -> None:
    first, second = certificates.issue(["a.svc"], NOW), certificates.issue(["a.svc"], NOW)

    with pytest.raises(InvalidCertificate, match="not signed by the authority"):
        certificates.read(first.certificate, first.key, second.authority)


@pytest.mark.parametrize(
    ("age", "soon"),
    [
        pytest.param(0, False, id="new"),
        pytest.param(0.66 * LIFETIME_SECONDS, False, id="just before two thirds"),
        pytest.param(0.67 * LIFETIME_SECONDS, True, id="just after two thirds"),
        pytest.param(2 * LIFETIME_SECONDS, True, id="over"),
    ],
)
def test_it_expires_soon_after_two_thirds_of_its_life(age: float, soon: bool) -> None:
    assert certificates.issue(["a.svc"], NOW).expires_soon(NOW + age) is soon


def test_it_is_good_for_the_lifetime_asked_for() -> None:
    assert certificates.issue(["a.svc"], NOW, 30 * DAY).not_after == NOW + 30 * DAY


def test_what_was_issued_reads_back() -> None:
    issued = certificates.issue(["a.svc"], NOW)

    assert certificates.read(issued.certificate, issued.key, issued.authority) == issued


@pytest.mark.parametrize(
    ("field", "message"),
    [
        pytest.param("certificate", "a certificate cannot be read", id="no certificate"),
        pytest.param("key", "the private key of the webhook certificate cannot be read", id="no key"),
        pytest.param("authorities", "a certificate cannot be read", id="no authority"),
    ],
)
def test_text_that_is_no_pem_is_refused(field: str, message: str) -> None:
    issued = certificates.issue(["a.svc"], NOW)
    texts = {"certificate": issued.certificate, "key": issued.key, "authorities": issued.authority, field: b"nonsense"}

    with pytest.raises(InvalidCertificate, match=message):
        certificates.read(**texts)


def test_a_key_of_another_certificate_is_refused() -> None:
    first, second = certificates.issue(["a.svc"], NOW), certificates.issue(["a.svc"], NOW)

    with pytest.raises(InvalidCertificate, match="not a pair"):
        certificates.read(first.certificate, second.key, first.authority)


def test_a_certificate_prints_without_its_key() -> None:
    assert "PRIVATE" not in repr(certificates.issue(["a.svc"], NOW))


def test_a_bundle_holds_each_authority_once_and_none_that_has_ended() -> None:
    old, new = certificates.issue(["a.svc"], NOW, DAY), certificates.issue(["a.svc"], NOW, 30 * DAY)

    both = certificates.bundle(old.authority, new.authority + old.authority, b"nonsense", now=NOW)

    assert both == old.authority + new.authority
    assert certificates.bundle(both, now=NOW + 2 * DAY) == new.authority


def test_a_certificate_is_trusted_through_any_authority_of_a_bundle() -> None:
    mine, other = certificates.issue(["a.svc"], NOW), certificates.issue(["a.svc"], NOW)

    assert certificates.is_signed_by_any(mine, other.authority + mine.authority)
    assert not certificates.is_signed_by_any(mine, other.authority)
    assert not certificates.is_signed_by_any(mine, b"")
    assert certificates.read(mine.certificate, mine.key, other.authority + mine.authority).names == ("a.svc",)
