//! Answers of an authenticator in software: good ones, and each with one thing wrong.

use moongate_testkit::authenticator::Authenticator;
use serde_json::json;

use super::*;

const SITE: &str = "gate.home.example";
const ORIGIN: &str = "https://gate.home.example:7443";
const CHALLENGE: &str = "Y2hhbGxlbmdl";

fn read(json: &[u8], ceremony: Ceremony) -> Result<ClientData, Flaw> {
    ClientData::read(json, ceremony, &[ORIGIN.to_owned()])
}

/// Makes a passkey, as far as its answers hold.
fn make(authenticator: &Authenticator) -> Result<Made, Flaw> {
    let (client, attestation) = authenticator.make(CHALLENGE);
    read(&client, Ceremony::Registration)?;
    registration(SITE, &attestation)
}

/// Signs in with a passkey's key.
fn sign_in(authenticator: &Authenticator, key: &PublicKey) -> Result<u32, Flaw> {
    let (client, data, signature) = authenticator.sign(CHALLENGE);
    assertion(SITE, key, &read(&client, Ceremony::SignIn)?, &data, &signature)
}

#[test]
fn a_passkey_that_was_made_signs_in_with_either_algorithm() {
    for mut authenticator in [Authenticator::es256(SITE, ORIGIN), Authenticator::ed25519(SITE, ORIGIN)] {
        let made = make(&authenticator).unwrap();
        let kept: PublicKey = serde_json::from_str(&serde_json::to_string(&made.key).unwrap()).unwrap();
        assert_eq!(kept, made.key, "it comes back from the store as it was");
        authenticator.says.counter = 7;
        assert_eq!(sign_in(&authenticator, &kept), Ok(7));
        let (client, ..) = authenticator.sign(CHALLENGE);
        assert_eq!(read(&client, Ceremony::SignIn).unwrap().challenge, b"challenge");
    }
}

#[test]
fn what_is_said_for_another_site_page_or_ceremony_is_refused() {
    type Change = fn(&mut Authenticator);
    let changes: [(&str, Change); 11] = [
        ("another site", |it| it.says.site = "evil.example".into()),
        ("another origin", |it| it.says.origin = "https://evil.example".into()),
        ("another port", |it| it.says.origin = "https://gate.home.example".into()),
        ("clear text", |it| it.says.origin = "http://gate.home.example:7443".into()),
        ("inside another page", |it| it.says.client = json!({"crossOrigin": true})),
        ("on top of another page", |it| it.says.client = json!({"topOrigin": "https://evil.example"})),
        ("another ceremony", |it| it.says.client = json!({"type": "payment.get"})),
        ("nobody there", |it| it.says.flags = 0b100),
        ("not verified", |it| it.says.flags = 0b001),
        ("backed up though it cannot be", |it| it.says.flags = 0b1_0101),
        ("something behind it", |it| it.says.behind = vec![0]),
    ];
    for (what, change) in changes {
        let mut authenticator = Authenticator::es256(SITE, ORIGIN);
        let key = make(&authenticator).unwrap().key;
        change(&mut authenticator);
        assert!(make(&authenticator).is_err(), "made with {what}");
        assert!(sign_in(&authenticator, &key).is_err(), "signed in with {what}");
    }
}

#[test]
fn extensions_may_stand_where_the_flag_announces_them() {
    let mut authenticator = Authenticator::es256(SITE, ORIGIN);
    authenticator.says.flags |= HAS_EXTENSIONS;
    assert!(make(&authenticator).is_err(), "announced and not there");
    authenticator.says.behind = vec![0xa1, 0x61, 0x61, 0xf5];
    let made = make(&authenticator).unwrap();
    assert_eq!(sign_in(&authenticator, &made.key), Ok(0));
}

#[test]
fn signatures_of_others_and_over_something_else_are_refused() {
    let (one, other) = (Authenticator::es256(SITE, ORIGIN), Authenticator::es256(SITE, ORIGIN));
    let key = make(&one).unwrap().key;
    assert!(sign_in(&other, &key).is_err(), "another passkey");
    let (_, data, signature) = one.sign(CHALLENGE);
    let (answered, ..) = one.sign("b3RoZXI");
    let client = |json: &[u8]| read(json, Ceremony::SignIn).unwrap();
    let given = client(&client_of(&one));
    assert!(assertion(SITE, &key, &given, &data, &signature).is_ok());
    assert!(assertion(SITE, &key, &client(&answered), &data, &signature).is_err(), "another challenge");
    let mut counted = data.clone();
    counted[36] += 1;
    assert!(assertion(SITE, &key, &given, &counted, &signature).is_err(), "another counter");
    assert!(assertion(SITE, &key, &given, &data, &[]).is_err());
    assert!(assertion(SITE, &key, &given, &data[..36], &signature).is_err());
    assert!(assertion(SITE, &key, &given, &data, &[0; 64]).is_err());
}

fn client_of(authenticator: &Authenticator) -> Vec<u8> {
    authenticator.sign(CHALLENGE).0
}

#[test]
fn keys_of_other_algorithms_and_points_beside_the_curve_are_refused() {
    let authenticator = Authenticator::es256(SITE, ORIGIN);
    let good = authenticator.cose();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut cose = good.clone();
        change(&mut cose);
        registration(SITE, &authenticator.make_with(CHALLENGE, &cose).1).map(drop)
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert!(with(&|cose| cose[4] = 0x38).is_err(), "an algorithm cut short");
    assert!(with(&|cose| cose[4] = 0x27).is_err(), "EdDSA with a point of P-256");
    assert!(with(&|cose| cose[2] = 0x03).is_err(), "another type of key");
    assert!(with(&|cose| cose[6] = 0x02).is_err(), "another curve");
    assert!(with(&|cose| cose[20] ^= 1).is_err(), "a point that is not on the curve");
    assert!(with(&|cose| cose.truncate(60)).is_err(), "half a key");
    let rsa = [0xa2, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00];
    let refused = registration(SITE, &authenticator.make_with(CHALLENGE, &rsa).1).unwrap_err();
    assert!(refused.0.contains("neither ES256 nor EdDSA"), "{refused:?}");
}

#[test]
fn a_client_part_that_two_readers_would_read_differently_is_refused() {
    for json in [
        r#"{"type":"webauthn.get","type":"webauthn.create","challenge":"YQ","origin":"https://gate.home.example:7443"}"#,
        r#"{"type":"webauthn.get","challenge":"a+/=","origin":"https://gate.home.example:7443"}"#,
        r#"{"type":"webauthn.get","origin":"https://gate.home.example:7443"}"#,
        "[]",
        "",
    ] {
        assert!(read(json.as_bytes(), Ceremony::SignIn).is_err(), "{json}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_readers(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = registration(SITE, &bytes);
        let _ = read(&bytes, Ceremony::SignIn);
        let key = make(&Authenticator::ed25519(SITE, ORIGIN)).unwrap().key;
        let client = read(&client_of(&Authenticator::ed25519(SITE, ORIGIN)), Ceremony::SignIn).unwrap();
        proptest::prop_assert!(assertion(SITE, &key, &client, &bytes, &bytes).is_err());
    }
}
