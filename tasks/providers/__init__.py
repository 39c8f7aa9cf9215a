"""Image-editing providers: one adapter a vendor, behind one protocol (`base.Provider`), made by `registry.make_providers`."""
