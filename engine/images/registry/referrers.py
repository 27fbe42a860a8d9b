"""What a registry has about an image: signatures, bills of material, attestations."""

from engine.images.reference import Reference
from engine.images.registry.session import Session, Sources, refuse_local
from engine.images.types import Descriptor, Digest


def referrers(reference: str, session: Session) -> tuple[Digest, list[Descriptor]]:
    """The manifest or index behind a name, and what says that it is about it. Blocks.

    Raise BadReference, RegistryError, BadImage.
    """
    name = Reference.parse(reference)
    refuse_local(name)
    with session.http() as http:
        sources = Sources(session, http, name)
        top = sources.first(lambda repository: repository.manifest(name.digest or name.tag or ""))
        return top.digest, sources.first(lambda repository: repository.referrers(top.digest))
