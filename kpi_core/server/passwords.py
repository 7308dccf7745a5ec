"""Passwords: what is taken, how it is kept, and how a guess is answered.

argon2id, with the parameters of its library; the text is put into one Unicode form first, so that an "é" typed on a
phone is the "é" typed on a desk, and nothing is cut off: 72 bytes are not the end, as they are with bcrypt. The only
rule is length, with the few texts refused that every guesser tries first; rules about digits and signs make passwords
worse, not better (NIST SP 800-63B, 5.1.1.2).

A name that does not exist costs the same check as one that does, against a hash that fits nothing. Hashing takes 64 MB
a go, so only a few run at a time: a flood of guesses waits in line, it does not fill the memory.
"""

from __future__ import annotations

import secrets
import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kpi_core.errors import InvalidInput

__all__ = ["LONGEST", "SHORTEST", "Passwords", "check_password"]

SHORTEST = 10
LONGEST = 1024
FEWEST_LETTERS = 4
AT_ONCE = 2
GUESSED_FIRST = ("password", "passwort", "1234567890", "qwertyuiop", "letmein", "iloveyou", "administrator", "changeme")


def check_password(password: str, username: str = "") -> None:
    """Raises InvalidInput if a new password is too short, too long or too easily guessed."""
    if len(password) < SHORTEST:
        raise InvalidInput(f"The password needs at least {SHORTEST} characters.")
    if len(password) > LONGEST:
        raise InvalidInput(f"The password may have at most {LONGEST} characters.")
    if _is_guessed_first(password.casefold(), username.casefold()):
        raise InvalidInput("That password is among the first to be guessed. A few unrelated words make a good one.")


class Passwords:
    """Makes and checks hashes. `hasher` is given by tests that want weak, fast ones."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = BoundedSemaphore(AT_ONCE)
        self._fits_nothing = self.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        with self._turns:
            return self._hasher.hash(_one_form(password))

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether `password` is the one of `kept`. Without a hash the answer is no, after just as long."""
        fits = self._verify(password[:LONGEST], kept or self._fits_nothing)
        return fits and bool(kept) and len(password) <= LONGEST

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            with self._turns:
                return self._hasher.verify(kept, _one_form(password))
        except (VerificationError, InvalidHashError):
            return False


def _one_form(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _is_guessed_first(password: str, username: str) -> bool:
    letters = "".join(character for character in password if character.isalpha())
    return (
        len(set(password)) < FEWEST_LETTERS
        or (bool(username) and password.strip("0123456789!@#$%.-_ ") == username)
        or password in GUESSED_FIRST
        or letters in GUESSED_FIRST
    )
