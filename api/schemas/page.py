"""A page of a list."""

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of a list, in a stable order."""

    items: list[Item]
    next: str | None = Field(default=None, description="give it as `after` for the page behind; null on the last one")
