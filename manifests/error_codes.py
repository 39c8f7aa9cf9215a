"""Every error code that a results manifest may hold, each with what it means and what to do: one list for logs, reports and docs."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """For people and dashboards; control flow looks at `State` alone."""

    advice: str

    def __new__(cls, code: str, advice: str = "") -> "ErrorCode":
        """A member is its code; its advice rides along."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.advice = advice
        return member

    # The row (rejected: nothing was sent)
    ROW_INVALID = "row_invalid", "Correct the named column of this row in the manifest."
    DUPLICATE_ITEM_ID = "duplicate_item_id", "Give each row its own item_id; the first row with this id was kept."
    UNSAFE_ITEM_ID = "unsafe_item_id", "Use letters, digits, dot, dash and underscore in item_id."
    IMAGE_NOT_FOUND = "image_not_found", "Check image_uri and the permission to read it."
    MASK_NOT_FOUND = "mask_not_found", "Check mask_uri and the permission to read it."
    REFERENCE_NOT_FOUND = "reference_not_found", "Check reference_uri and the permission to read it."
    IMAGE_UNREADABLE = "image_unreadable", "Replace the file: it is damaged, truncated or not a picture."
    MASK_UNREADABLE = "mask_unreadable", "Replace the mask: it is damaged, truncated or not a picture."
    REFERENCE_UNREADABLE = "reference_unreadable", "Replace the reference: it is damaged, truncated or not a picture."
    IMAGE_TOO_LARGE = "image_too_large", "Make the picture smaller, or raise the limit in the configuration."
    IMAGE_ANIMATED = "image_animated", "Give a file with one frame."
    MASK_MISSING = "mask_missing", "Give mask_uri, points, box or object_name."
    MASK_SIZE_MISMATCH = "mask_size_mismatch", "Make the mask from this very picture: same width and height."
    MASK_EMPTY = "mask_empty", "The mask marks nothing: paint white what is to go."
    MASK_FULL = "mask_full", "The mask marks everything: leave black what is to stay."
    MASK_COVERS_TOO_MUCH = "mask_covers_too_much", "Mark less, or raise max_mask_share in the configuration."
    MASK_INVERTED = "mask_inverted", "White must be what is to go; set invert_masks to turn such masks over."
    REFERENCE_MISSING = "reference_missing", "background-replace needs reference_uri or a prompt."
    SELECTION_FAILED = "selection_failed", "Points or box did not pick out an object: give a mask."

    # Nobody could take it (deferred: nothing was charged)
    NO_PROVIDER = "no_provider", "Switch on a provider that offers this operation and takes this kind of selection."
    OUT_OF_CREDITS = "out_of_credits", "Top up, then `cleanplate ledger top-up`, then `cleanplate retry`."
    BUDGET_REACHED = "budget_reached", "Raise --budget-usd and `cleanplate retry`."
    DEADLINE_REACHED = "deadline_reached", "Run `cleanplate retry` to go on."
    PROVIDER_UNAVAILABLE = "provider_unavailable", "The provider was down or refused; `cleanplate retry` later."
    INTERRUPTED = "interrupted", "The run was stopped; `cleanplate retry` goes on."

    # It was tried (failed)
    AUTHENTICATION = "authentication", "The provider refused the key: check it."
    PROVIDER_REJECTED = "provider_rejected", "The provider refused this picture; read its message."
    PROVIDER_ERROR = "provider_error", "The provider failed on this item again and again; retry, or use another."
    PROVIDER_TIMEOUT = "provider_timeout", "The provider did not finish in time; retry, or raise poll_deadline_s."
    UNEXPECTED_ANSWER = "unexpected_answer", "The provider's answer fits no document; see the excerpt."
    DOWNLOAD_FAILED = "download_failed", "The finished picture could not be fetched."
    OUTPUT_UNREADABLE = "output_unreadable", "The provider returned something that is not a picture."
    OUTPUT_WRONG_SIZE = "output_wrong_size", "The provider returned another size."
    OUTPUT_BLANK = "output_blank", "The provider returned a blank picture."
    OUTPUT_UNCHANGED = "output_unchanged", "The provider returned the picture as it was."
    OUTPUT_DRIFTED = "output_drifted", "The provider changed the picture outside the mask too much."
    OUTPUT_POOR = "output_poor", "The edit shows: seams, blur or a placeholder."
    OUTPUT_NSFW = "output_nsfw", "The provider flagged its own result."
    STORE_FAILED = "store_failed", "The output folder could not be written; check permission and space."
    INTERNAL_ERROR = "internal_error", "A defect of cleanplate: report it with the message."

    # It cannot be known (in doubt)
    IN_DOUBT = (
        "in_doubt",
        "The request may have been charged: look at the provider's account, then `cleanplate ledger resolve`.",
    )
