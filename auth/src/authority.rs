//! The mesh's certificate authority and the identity of a node: who may speak on a link, and under which id.
//!
//! Every node of a mesh trusts one authority certificate. Where the authority's key comes from is apart from what an
//! identity is: today all nodes derive the key from one shared secret; a directory that issues certificates fills the
//! same [`NodeIdentity`].

use aws_lc_rs::digest;
use aws_lc_rs::hkdf;
use rand::CryptoRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::NodeId;

/// The name that every node certificate carries and every dialler asks for. Who the peer is, is told by its key.
pub const MESH_SERVER_NAME: &str = "node.origo.mesh";

/// Shortest mesh secret taken, bytes: 128 bits if it is random.
pub const SECRET_BYTES_MIN: usize = 16;

/// Separates this use of the secret from any other.
const DERIVATION_SALT: &[u8] = b"origo mesh authority 1";
/// The authority's subject, the same on all nodes, so that all derive the same trust anchor.
const AUTHORITY_NAME: &str = "Origo mesh authority";
/// An Ed25519 private key in PKCS #8 (RFC 8410, section 7) is this and the 32 bytes of the seed.
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const SEED_BYTES: usize = 32;
/// First year of every certificate. The range is fixed and wide because a node may start before its clock is set;
/// membership ends with the secret, not with a date.
const VALID_FROM_YEAR: i32 = 2020;
/// Last year of every certificate.
const VALID_UNTIL_YEAR: i32 = 2120;

/// Why an authority, a key or an identity cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The mesh secret can be guessed.
    #[error("the mesh secret has {bytes} bytes; at least {SECRET_BYTES_MIN} are needed")]
    ShortSecret {
        /// How many it has.
        bytes: usize,
    },
    /// The key file holds no Ed25519 key in PKCS #8.
    #[error("not an Ed25519 key in PKCS #8: {0}")]
    Key(rcgen::Error),
    /// A certificate could not be signed.
    #[error("signing a certificate: {0}")]
    Sign(rcgen::Error),
    /// Bytes that are no X.509 certificate.
    #[error("not an X.509 certificate")]
    Certificate,
}

/// A node's key pair. Kept over restarts, it keeps the node's id.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// A fresh key from the given randomness.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; SEED_BYTES];
        rng.fill_bytes(&mut seed);
        Self(pair_of_seed(&seed).expect("any 32 bytes are an Ed25519 seed"))
    }

    /// Reads what [`Self::to_pkcs8_der`] wrote.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, AuthorityError> {
        KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519).map(Self).map_err(AuthorityError::Key)
    }

    /// The private key, for the node's data folder.
    pub fn to_pkcs8_der(&self) -> Vec<u8> {
        self.0.serialize_der()
    }

    /// The id that goes with the key.
    pub fn id(&self) -> NodeId {
        node_id_of_key(&self.0.subject_public_key_info())
    }
}

/// All that a node needs to prove itself and to check others.
#[derive(Debug)]
pub struct NodeIdentity {
    /// Hash of the public key.
    pub id: NodeId,
    /// The node's certificate, then what leads to the authority (nothing for a shared secret).
    pub certificate_chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// What peers' certificates must lead to.
    pub authority: CertificateDer<'static>,
}

impl Clone for NodeIdentity {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            certificate_chain: self.certificate_chain.clone(),
            key: self.key.clone_key(),
            authority: self.authority.clone(),
        }
    }
}

/// The authority of a mesh whose nodes share one secret: each derives the same key and signs its own certificate.
pub struct MeshAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl MeshAuthority {
    /// Derives the authority with HKDF-SHA256 (RFC 5869). The same secret gives the same authority everywhere.
    pub fn from_secret(secret: &[u8]) -> Result<Self, AuthorityError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AuthorityError::ShortSecret { bytes: secret.len() });
        }
        let pair = pair_of_seed(&derive_seed(secret)).map_err(AuthorityError::Key)?;
        let params = authority_params();
        let certificate = params.self_signed(&pair).map_err(AuthorityError::Sign)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, pair), certificate })
    }

    /// Signs a certificate for a node's key.
    pub fn issue(&self, key: &NodeKey) -> Result<NodeIdentity, AuthorityError> {
        let id = key.id();
        let params = node_params(id)?;
        let certificate = params.signed_by(&key.0, &self.issuer).map_err(AuthorityError::Sign)?;
        Ok(NodeIdentity {
            id,
            certificate_chain: vec![certificate.der().clone()],
            key: key.to_pkcs8_der().into(),
            authority: self.certificate.clone(),
        })
    }
}

/// The id of the node that a certificate belongs to. Says nothing about who signed it.
pub fn node_id_of_certificate(der: &[u8]) -> Result<NodeId, AuthorityError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| AuthorityError::Certificate)?;
    Ok(node_id_of_key(certificate.public_key().raw))
}

/// First 16 bytes of the SHA-256 of a SubjectPublicKeyInfo in DER.
fn node_id_of_key(spki_der: &[u8]) -> NodeId {
    let hash = digest::digest(&digest::SHA256, spki_der);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_ref()[..16]);
    NodeId(id)
}

fn derive_seed(secret: &[u8]) -> [u8; SEED_BYTES] {
    let mut seed = [0; SEED_BYTES];
    hkdf::Salt::new(hkdf::HKDF_SHA256, DERIVATION_SALT)
        .extract(secret)
        .expand(&[b"ed25519 seed"], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut seed))
        .expect("32 bytes are one block of HKDF-SHA256");
    seed
}

fn pair_of_seed(seed: &[u8; SEED_BYTES]) -> Result<KeyPair, rcgen::Error> {
    let der = [&PKCS8_ED25519_PREFIX[..], seed].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519)
}

fn params_of(name: String, serial: &[u8]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(VALID_FROM_YEAR, 1, 1);
    params.not_after = rcgen::date_time_ymd(VALID_UNTIL_YEAR, 1, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params
}

fn authority_params() -> CertificateParams {
    let mut params = params_of(AUTHORITY_NAME.to_owned(), &[1]);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn node_params(id: NodeId) -> Result<CertificateParams, AuthorityError> {
    // A serial number is positive: the leading 1 keeps the id's first bit from being a sign.
    let serial: Vec<u8> = [&[1], &id.0[..]].concat();
    let mut params = params_of(id.to_string(), &serial);
    let name = MESH_SERVER_NAME.try_into().map_err(AuthorityError::Sign)?;
    params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const SECRET: &[u8] = b"a secret of the demo mesh";

    fn key(seed: u64) -> NodeKey {
        NodeKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn the_same_secret_gives_the_same_authority_on_every_node() {
        let one = MeshAuthority::from_secret(SECRET).unwrap().issue(&key(1)).unwrap();
        let other = MeshAuthority::from_secret(SECRET).unwrap().issue(&key(2)).unwrap();
        assert_eq!(one.authority, other.authority);
        assert_ne!(one.id, other.id);
        let stranger = MeshAuthority::from_secret(b"another secret, as long").unwrap().issue(&key(1)).unwrap();
        assert_ne!(stranger.authority, one.authority);
    }

    #[test]
    fn a_short_secret_is_refused_and_says_how_long_it_must_be() {
        let error = MeshAuthority::from_secret(b"short").err().unwrap();
        assert_eq!(error.to_string(), "the mesh secret has 5 bytes; at least 16 are needed");
    }

    #[test]
    fn a_key_read_back_has_the_same_id_and_the_certificate_proves_it() {
        let key = key(3);
        let again = NodeKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        assert_eq!(again.id(), key.id());
        let identity = MeshAuthority::from_secret(SECRET).unwrap().issue(&again).unwrap();
        assert_eq!(identity.id, key.id());
        assert_eq!(node_id_of_certificate(&identity.certificate_chain[0]).unwrap(), key.id());
    }

    #[test]
    fn bytes_that_are_no_certificate_or_key_are_an_error() {
        let identity = MeshAuthority::from_secret(SECRET).unwrap().issue(&key(4)).unwrap();
        let der = &identity.certificate_chain[0];
        for end in 0..der.len() {
            assert!(node_id_of_certificate(&der[..end]).is_err(), "{end}");
        }
        assert!(NodeKey::from_pkcs8_der(b"junk").is_err());
    }
}
